"""Every container is killed once while uploads come in, and comes back: none that was answered for is lost."""

import asyncio
from functools import partial

from tests.client.site import Site
from tests.containers.load import Uploads, uploading
from tests.support.compose import Project, inspected, kill
from tests.support.eventually import eventually


async def test_no_upload_is_lost_when_containers_are_killed(project: Project, site: Site) -> None:
    async with uploading(site) as uploads:
        for service in ("resizer", "publisher", "ingest", "rabbitmq", "gateway"):
            (container,) = await asyncio.to_thread(project.containers, service)
            before = len(uploads.names)
            await asyncio.to_thread(kill, project, container)
            if service not in ("ingest", "gateway"):
                await eventually(partial(_more, uploads, before), f"uploads without {service}")
            await asyncio.to_thread(project.wait_healthy)
            assert inspected(container)["RestartCount"] == 1, "the engine started it again, and nobody else"
        await asyncio.sleep(1)
    assert len(uploads.names) > 50
    print(f"\n{len(uploads.names)} uploads were taken, and {len(uploads.troubles)} attempts had to be made again")
    await uploads.publish_all()


async def _more(uploads: Uploads, before: int) -> bool:
    return len(uploads.names) > before
