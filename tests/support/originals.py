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
    """Files by their name. `faults` says what goes wrong with the first request for one: 500, slow or cut."""

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
        fault = self.faults.get(name, "") if self.asked[name] == 1 else ""
        if fault == "500":
            raise web.HTTPInternalServerError
        if fault == "slow":
            await asyncio.sleep(2)
        if name not in self.files:
            raise web.HTTPNotFound
        data = self.files[name]
        if fault != "cut":
            response = web.Response(body=data)
            if name.endswith(".svg"):
                response.enable_compression()  # of text, for clients that say they can take it
            return response
        answer = web.StreamResponse(headers={"Content-Length": str(len(data))})
        await answer.prepare(request)
        await answer.write(data[: len(data) // 2])
        assert request.transport is not None
        request.transport.close()
        return answer
