"""More containers of a service behind the same gateway."""

import asyncio
from collections import Counter
from datetime import datetime

from tests.client.site import Site, until
from tests.containers.load import Uploads
from tests.support.compose import Project, docker
from tests.support.pictures import photo

_IMAGES = 40
_CLIENTS = 8


async def test_four_resizers_share_the_work(project: Project, site: Site) -> None:
    (only,) = await asyncio.to_thread(project.containers, "resizer")
    await asyncio.to_thread(docker, "update", "--cpuset-cpus=0", only)
    rates = {"1 resizer on one core": (await _work(project, site))[1]}
    await asyncio.to_thread(project.scale, "resizer", 0)
    await asyncio.to_thread(project.scale, "resizer", 1)
    rates["1 resizer on all cores"] = (await _work(project, site))[1]
    await asyncio.to_thread(project.scale, "resizer", 4)
    shares, rates["4 resizers on all cores"] = await _work(project, site)
    print()
    for what, rate in rates.items():
        print(f"{what}: {rate:.1f} photos of 12 megapixels a second")
    print(f"each of the four: {sorted(shares.values())}")
    assert len(shares) == 4, "each had some"
    assert sum(shares.values()) == _IMAGES, "and each was made once"


async def _work(project: Project, site: Site) -> tuple[Counter[str], float]:
    """What each resizer made of some uploads, and how many a second all of them made."""
    uploads, left = Uploads(site), iter(range(_IMAGES))

    async def client() -> None:
        for _ in left:
            await uploads.one(photo())

    await asyncio.gather(*(client() for _ in range(_CLIENTS)))
    assert uploads.troubles == []
    names = set(uploads.names)

    async def made() -> list[tuple[str, str]]:
        lines = await asyncio.to_thread(project.logged, "resizer")
        found = [(who, line) for who, line in lines if line["event"] == "thumbnails made" and line["image"] in names]
        complete = len({(line["image"], line["stage"]) for _, line in found}) == 2 * len(names)
        return [(who, line["timestamp"]) for who, line in found if line["stage"] == "base"] if complete else []

    found: list[tuple[str, str]] = await until(made, "all thumbnails")
    times = sorted(datetime.fromisoformat(time) for _, time in found)
    return Counter(who for who, _ in found), (len(times) - 1) / (times[-1] - times[0]).total_seconds()


async def test_two_ingests_share_uploads_behind_the_gateway(project: Project, site: Site) -> None:
    await asyncio.to_thread(project.scale, "ingest", 2)
    uploads = Uploads(site)

    async def both() -> bool:
        await uploads.one(photo(600, 400))
        lines = await asyncio.to_thread(project.logged, "ingest")
        return len({who for who, line in lines if line.get("image") in uploads.names}) == 2

    await until(both, "an upload at each")
    assert uploads.troubles == []
    await uploads.settle()
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
