"""Every container is killed once while uploads come in: none that was answered for is lost."""

import asyncio

from tests.client.site import Site
from tests.containers.load import uploading
from tests.support.compose import Project, docker


async def test_no_upload_is_lost_when_containers_are_killed(project: Project, site: Site) -> None:
    async with uploading(site) as uploads:
        for service in ("resizer", "publisher", "ingest", "rabbitmq", "gateway"):
            (container,) = await asyncio.to_thread(project.containers, service)
            before = len(uploads.names)
            await asyncio.to_thread(docker, "kill", container)
            await asyncio.sleep(2)
            if service not in ("ingest", "gateway"):
                assert len(uploads.names) > before, f"uploads are taken without {service}"
            await asyncio.to_thread(docker, "start", container)
            await asyncio.to_thread(project.wait_healthy)
        await asyncio.sleep(1)
    assert len(uploads.names) > 50
    print(f"\n{len(uploads.names)} uploads were taken, and {len(uploads.troubles)} attempts had to be made again")
    await uploads.settle()
