"""New images take the place of running ones, service by service, while uploads come in: nobody notices."""

import asyncio
import subprocess

from tests.client.site import Site
from tests.containers.load import uploading
from tests.support.compose import SERVICES, Project, inspected


async def test_upgrading_under_load(project: Project, site: Site) -> None:
    old = project.environment["VERSION"]
    before = set(await asyncio.to_thread(project.containers, *SERVICES))
    project.environment["VERSION"] = f"{old}-next"
    try:
        await asyncio.to_thread(project.must, "build", *SERVICES)
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
        await uploads.settle()
    finally:
        project.environment["VERSION"] = old


def _upgrade(project: Project) -> None:
    done = subprocess.run(
        ["deploy/upgrade"], check=False, stdout=-1, stderr=subprocess.STDOUT, text=True, env=project.environment
    )
    assert done.returncode == 0, done.stdout
