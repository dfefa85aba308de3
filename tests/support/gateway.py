"""nginx with the gateway's own configuration, as it is deployed."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from string import Template

import aiohttp
from tests.support.eventually import eventually

PROGRAM = "nginx"
_TEMPLATE = Path("deploy/gateway/nginx.conf.template")
_AROUND = """
daemon off;
pid $folder/pid;
error_log $folder/error;
events {}
http {
    access_log off;
    client_body_temp_path $folder/body;
    proxy_temp_path $folder/proxy;
    fastcgi_temp_path $folder/fastcgi;
    uwsgi_temp_path $folder/uwsgi;
    scgi_temp_path $folder/scgi;
    include $folder/site;
}
"""


@asynccontextmanager
async def gateway(folder: Path, port: int, ingest: str, publisher: str, *, prefix: str = "") -> AsyncIterator[str]:
    """A gateway in front of the two services, `HOST:PORT` each. Yields its address."""
    await asyncio.to_thread(folder.mkdir)
    # Both services are at addresses, so that no name server is ever asked.
    values = {"GATEWAY_PORT": port, "INGEST": ingest, "PUBLISHER": publisher}
    values |= {"ROUTE_PREFIX": prefix, "RESOLVER": "127.0.0.1"}
    site = Template(await asyncio.to_thread(_TEMPLATE.read_text)).safe_substitute(values)
    (folder / "site").write_text(site)
    (folder / "nginx.conf").write_text(Template(_AROUND).substitute(folder=folder))
    program = shutil.which(PROGRAM) or f"/usr/sbin/{PROGRAM}"
    process = await asyncio.create_subprocess_exec(
        program, "-c", str(folder / "nginx.conf"), "-p", str(folder), env={"PATH": os.environ["PATH"]}
    )
    url = f"http://127.0.0.1:{port}"
    try:
        async with aiohttp.ClientSession() as http:

            async def answers() -> bool:
                assert process.returncode is None, (folder / "error").read_text()
                try:
                    async with http.get(f"{url}{prefix}/ping") as answer:
                        return answer.status == 200
                except aiohttp.ClientError:
                    return False

            await eventually(answers, "the gateway")
        yield url + prefix
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
