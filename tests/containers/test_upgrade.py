"""New images take the place of running ones, service by service, while uploads come in: nobody notices."""

import asyncio
import subprocess

from tests.client.site import Site
from tests.containers.load import uploading
from tests.support.compose import SERVICES, Project, inspected
from tests.support.pictures import photo


async def test_upgrading_under_load(project: Project, site: Site) -> None:
    old = project.environment["VERSION"]
    before = set(await asyncio.to_thread(project.containers, *SERVICES))
    project.environment["VERSION"] = f"{old}-next"
    try:
        await asyncio.to_thread(project.build, *SERVICES)
        async with uploading(site) as uploads:
            await asyncio.to_thread(_upgrade, project)
            await asyncio.sleep(1)
        after = await asyncio.to_thread(project.containers, *SERVICES)
        assert len(after) == len(SERVICES)
        assert before.isdisjoint(after)
        for container in map(inspected, after):
            assert container["Config"]["Labels"]["org.opencontainers.image.version"] == f"{old}-next"
        assert uploads.troubles == []
        assert len(uploads.names) > 20
        await uploads.publish_all()
    finally:
        project.environment["VERSION"] = old


async def test_a_version_that_does_not_work_leaves_everything_as_it_was(project: Project, site: Site) -> None:
    before = await asyncio.to_thread(project.containers)
    # A setting that cannot be used stands for any reason why new containers are not well.
    broken = project.environment | {"RESIZING_CONFIG": "[]"}
    done = await asyncio.to_thread(
        subprocess.run, ["deploy/upgrade", "ingest"], check=False, capture_output=True, text=True, env=broken
    )
    assert done.returncode == 1
    assert "RESIZING_CONFIG" in done.stderr
    assert "the old ones stay" in done.stderr
    assert sorted(await asyncio.to_thread(project.containers)) == sorted(before)
    await site.upload(photo(300, 200))


def _upgrade(project: Project) -> None:
    done = subprocess.run(
        ["deploy/upgrade"], check=False, stdout=-1, stderr=subprocess.STDOUT, text=True, env=project.environment
    )
    assert done.returncode == 0, done.stdout
