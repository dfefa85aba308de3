"""The web server on which v5 keeps its originals, with the faults that such servers have."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Self

from aiohttp import web


@dataclass
class Originals:
    """Files by their name. `faults` says what goes wrong with the first request for one, and with `always` each time.

    500; slow; cut: half of what Content-Length says; chunked-cut: half of it, and no last chunk; unmeasured: an end
    that only closing the connection tells, and unmeasured-cut: half of that.
    """

    files: Mapping[str, bytes]
    faults: dict[str, str] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    url: str = ""

    @classmethod
    @asynccontextmanager
    async def served(cls, files: Mapping[str, bytes], faults: dict[str, str] | None = None) -> AsyncIterator[Self]:
        """The server, for the time of the context."""
        originals = cls(files, faults or {})
        app = web.Application()
        app.router.add_get("/uploads/{name}", originals._answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            host, port = runner.addresses[0][:2]
            originals.url = f"http://{host}:{port}/uploads"
            yield originals
        finally:
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        if request.method == "GET":
            self.asked[name] += 1
        fault = self.faults.get(name, "")
        fault = fault.removesuffix(" always") if self.asked[name] == 1 or fault.endswith(" always") else ""
        if fault == "500":
            raise web.HTTPInternalServerError
        if fault == "slow":
            await asyncio.sleep(2)
        if name not in self.files:
            raise web.HTTPNotFound
        data = self.files[name]
        if fault.startswith("unmeasured"):
            return await _unmeasured(request, data[: len(data) // 2] if fault.endswith("cut") else data)
        if not fault.endswith("cut"):
            response = web.Response(body=data)
            if name.endswith(".svg"):
                response.enable_compression()  # of text, for clients that say they can take it
            return response
        answer = web.StreamResponse(headers={} if fault.startswith("chunked") else {"Content-Length": str(len(data))})
        await answer.prepare(request)
        await answer.write(data[: len(data) // 2])
        assert request.transport is not None
        request.transport.close()
        return answer


async def _unmeasured(request: web.Request, data: bytes) -> web.StreamResponse:
    """What a server of HTTP/1.0 answers that does not know the length beforehand."""
    assert isinstance(request.transport, asyncio.Transport)
    request.transport.write(b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nConnection: close\r\n\r\n")
    request.transport.write(b"" if request.method == "HEAD" else data)
    request.transport.close()
    return web.StreamResponse()
