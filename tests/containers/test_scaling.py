"""More containers of a service behind the same gateway."""

import asyncio
import os
from collections import Counter
from datetime import datetime
from typing import Any

from tests.client.site import Site
from tests.containers.load import Uploads
from tests.support.compose import Project, docker
from tests.support.eventually import eventually
from tests.support.pictures import photo

_IMAGES = 30
_CLIENTS = 8
# CPU seconds of all processes of a container, those that have ended included.
_CPU = """
import glob, os
ticks = (open(path).read().rpartition(")")[2].split()[11:15] for path in glob.glob("/proc/[0-9]*/stat"))
print(sum(sum(map(int, four)) for four in ticks) / os.sysconf("SC_CLK_TCK"))
"""


async def test_four_resizers_share_the_work(project: Project, site: Site) -> None:
    (only,) = await asyncio.to_thread(project.containers, "resizer")
    await asyncio.to_thread(docker, "update", "--cpuset-cpus=0", only)
    await _work("1 resizer on one core", project, site)
    await asyncio.to_thread(docker, "update", f"--cpuset-cpus=0-{(os.cpu_count() or 1) - 1}", only)
    await _work("1 resizer on all cores", project, site)
    await asyncio.to_thread(project.scale, "resizer", 4)
    shares = await _work("4 resizers on all cores", project, site)
    print(f"each of the four: {sorted(shares.values())}")
    assert len(shares) == 4, "each had some"


async def _work(what: str, project: Project, site: Site) -> Counter[str]:
    """What each resizer made of some uploads that were there before any began. Prints how fast all of them were."""
    uploads, left, data = Uploads(site), iter(range(_IMAGES)), photo(2000, 1500)
    resizers = await asyncio.to_thread(project.containers, "resizer")
    used = await asyncio.to_thread(_cpu_seconds, resizers)
    await asyncio.to_thread(docker, "pause", *resizers)

    async def client() -> None:
        for _ in left:
            await uploads.one(data)

    try:
        await asyncio.gather(*(client() for _ in range(_CLIENTS)))
    finally:
        await asyncio.to_thread(docker, "unpause", *resizers)
    assert uploads.troubles == []
    names = set(uploads.names)

    async def made() -> list[tuple[str, dict[str, Any]]]:
        await asyncio.sleep(1)  # looking costs what is measured
        lines = await asyncio.to_thread(project.logged, "resizer")
        found = [(who, line) for who, line in lines if line["event"] == "thumbnails made" and line["image"] in names]
        return found if len({(line["image"], line["stage"]) for _, line in found}) == 2 * len(names) else []

    found: list[tuple[str, dict[str, Any]]] = await eventually(made, "all thumbnails", 300)
    times = sorted(datetime.fromisoformat(line["timestamp"]) for _, line in found)
    seconds = (times[-1] - times[0]).total_seconds()
    cores = (await asyncio.to_thread(_cpu_seconds, resizers) - used) / seconds
    print(f"\n{what}: {len(names) / seconds:.1f} photos of 3 megapixels a second, which took {cores:.1f} cores")
    return Counter(who for who, line in found if line["stage"] == "base")


def _cpu_seconds(containers: list[str]) -> float:
    return sum(float(docker("exec", container, "python", "-c", _CPU)) for container in containers)


async def test_two_ingests_share_uploads_behind_the_gateway(project: Project, site: Site) -> None:
    await asyncio.to_thread(project.scale, "ingest", 2)
    uploads = Uploads(site)

    async def both() -> bool:
        await uploads.one(photo(600, 400))
        lines = await asyncio.to_thread(project.logged, "ingest")
        return len({who for who, line in lines if line.get("image") in uploads.names}) == 2

    await eventually(both, "an upload at each")
    assert uploads.troubles == []
    await uploads.publish_all()
    name = await site.upload(photo(700, 500))
    states = await asyncio.gather(*(_followed(site, name) for _ in range(4)))
    assert {found[-1] for found in states} == {"active"}, "events come from any of them"
    await asyncio.to_thread(project.scale, "ingest", 1)
    assert (await site.status(name))["state"] == "active", "the gateway knows that one is gone"


async def _followed(site: Site, name: str) -> list[str]:
    states = []
    async for found in site.events(name):
        states.append(str(found["state"]))
        if found["state"] == "ready":
            await site.done("/publish", filename=name)
    return states
