"""Uploads as clients make them: whoever gets no answer, or is told to, tries again."""

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from tests.client.site import Site
from tests.support.eventually import eventually
from tests.support.pictures import photo

_PAUSE = 0.5  # seconds
_AT_ONCE = 4


class Uploads:
    """What was uploaded so far: `names` were answered 200, `troubles` were answered otherwise, or not at all."""

    def __init__(self, site: Site) -> None:
        self.names: list[str] = []
        self.troubles: list[str] = []
        self._site = site

    async def one(self, data: bytes) -> None:
        """Try once."""
        form = aiohttp.FormData()
        form.add_field("file", io.BytesIO(data), filename="photo.jpg", content_type="image/jpeg")
        try:
            status, body = await self._site.call("/upload", data=form, timeout=aiohttp.ClientTimeout(30))
        except (aiohttp.ClientError, TimeoutError) as error:
            self.troubles.append(str(error) or type(error).__name__)
        else:
            if status == 200:
                self.names.append(body["filename"])
            else:
                self.troubles.append(f"{status}")

    async def forever(self) -> None:
        """One after another."""
        data = photo(900, 600)
        while True:
            await self.one(data)
            await asyncio.sleep(_PAUSE)

    async def publish_all(self) -> None:
        """Publish every image whose upload was answered, and wait until all its thumbnails are public."""
        left = iter(self.names)

        async def publish_some() -> None:
            for name in left:
                await self._publish(name)

        await asyncio.gather(*(publish_some() for _ in range(_AT_ONCE)))

    async def _publish(self, name: str) -> None:
        async def made() -> bool:
            return set((await self._site.status(name))["records"]) == {"base", "modern"}

        await eventually(made, f"the thumbnails of {name}")
        await self._site.done("/publish", filename=name)
        assert (await self._site.settled(name))["state"] == "active"
        keys = {name, *(f"{name[:-4]}{suffix}.{kind}" for suffix in ("BI", "MI", "SI") for kind in ("jpg", "webp"))}
        assert await self._site.visible(*keys) == keys


@asynccontextmanager
async def uploading(site: Site, clients: int = 2) -> AsyncIterator[Uploads]:
    """Clients that upload until the context ends."""
    uploads = Uploads(site)
    tasks = [asyncio.create_task(uploads.forever()) for _ in range(clients)]
    try:
        yield uploads
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
