"""An image backend as its clients know it: a base URL, a secret, and where public files are."""

import asyncio
import io
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
from tests.client.described import Described

_WAIT_SECONDS = 90.0  # the machine may be busy


class Site:
    """Plain HTTP; nothing here knows how it is answered. Each answer of a call has to be as the site describes it."""

    def __init__(self, http: aiohttp.ClientSession, url: str, public: str, secret: str) -> None:
        self.http = http
        self.url = url
        self.public = public
        self.secret = secret
        self._described: Described | None = None

    async def described(self) -> Described:
        """What the site says that it answers."""
        if self._described is None:
            async with self.http.get(f"{self.url}/openapi.json") as answer:
                self._described = Described(await answer.json())
        return self._described

    async def call(self, path: str, *, method: str = "POST", **options: Any) -> tuple[int, Any]:
        """Status, and the body: JSON decoded, else its text."""
        async with self.http.request(method, f"{self.url}{path}", **options) as answer:
            text = await answer.text()
            body = json.loads(text) if answer.content_type == "application/json" else text
        (await self.described()).check(method, path.partition("?")[0], answer.status, answer.content_type, body)
        return answer.status, body

    async def upload(self, data: bytes, filename: str = "photo.jpg") -> str:
        """The name of an upload that must succeed."""
        form = aiohttp.FormData()
        form.add_field("file", io.BytesIO(data), filename=filename, content_type="application/octet-stream")
        status, body = await self.call("/upload", data=form)
        assert status == 200, body
        assert body["success"] is True
        name: str = body["filename"]
        return name

    async def command(self, path: str, **fields: object) -> tuple[int, Any]:
        """A call of the API server, with the secret."""
        return await self.call(path, json={"secret": self.secret, **fields})

    async def done(self, path: str, **fields: object) -> dict[str, Any]:
        """The same, when it must succeed."""
        status, body = await self.command(path, **fields)
        assert (status, body.get("success")) == (200, True), body
        answer: dict[str, Any] = body
        return answer

    async def published(self, data: bytes) -> str:
        """The name of an image that is public, with its thumbnails."""
        name = await self.upload(data)
        await self.done("/publish", filename=name)
        await self.settled(name)
        return name

    async def status(self, name: str) -> dict[str, Any]:
        status, body = await self.call(f"/status/{name}", method="GET")
        assert status == 200, body
        answer: dict[str, Any] = body
        return answer

    async def settled(self, name: str) -> dict[str, Any]:
        """The status once nothing changes by itself any more."""

        async def look() -> dict[str, Any] | None:
            found = await self.status(name)
            return found if found["settled"] else None

        found: dict[str, Any] = await until(look, f"{name} to be settled")
        return found

    async def file(self, key: str) -> tuple[int, bytes]:
        """What a visitor gets."""
        async with self.http.get(f"{self.public}/{key}") as answer:
            return answer.status, await answer.read()

    async def visible(self, *keys: str) -> set[str]:
        """Which of these a visitor gets."""
        found = await asyncio.gather(*(self.file(key) for key in keys))
        return {key for key, (status, _) in zip(keys, found, strict=True) if status == 200}

    async def events(self, name: str, **headers: str) -> AsyncIterator[dict[str, Any]]:
        """What `/events` tells, until it ends."""
        async with self.http.get(f"{self.url}/events/{name}", headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            assert answer.content_type == "text/event-stream"
            async for line in answer.content:
                if line.startswith(b"data: "):
                    yield json.loads(line[6:])


async def until(look: Callable[[], Awaitable[Any]], what: str) -> Any:
    """What `look` finds, as soon as it finds something."""
    end = time.monotonic() + _WAIT_SECONDS
    while not (found := await look()):
        assert time.monotonic() < end, f"waited in vain for {what}"
        await asyncio.sleep(0.05)
    return found
