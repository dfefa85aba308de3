"""A server that one test has for itself."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from tests.support.eventually import eventually


@asynccontextmanager
async def own_server(
    *command: str, output: Path, ready: str, environment: Mapping[str, str] | None = None
) -> AsyncIterator[aiohttp.ClientSession]:
    """Run the command, whose errors go to the file `output`, until the end of the block.

    The block begins when the address `ready` answers 200. Yields a session to make requests with.
    """
    with output.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(*command, stderr=errors, env=environment)
    try:
        async with aiohttp.ClientSession() as http:

            async def is_ready() -> bool:
                assert process.returncode is None, await asyncio.to_thread(output.read_text)
                try:
                    async with http.get(ready) as answer:
                        return answer.status == 200
                except aiohttp.ClientError:
                    return False

            await eventually(is_ready, f"{ready}: {command[0]}")
            yield http
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
