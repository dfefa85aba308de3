"""nginx with the gateway's own configuration, as it is deployed."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from string import Template

from tests.support.own_server import own_server

PROGRAM = "nginx"
_TEMPLATE = Path("deploy/gateway/nginx.conf.template")
_AROUND = """
daemon off;
pid $folder/pid;
error_log stderr;
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
    command = (program, "-c", str(folder / "nginx.conf"), "-p", str(folder))
    url, path = f"http://127.0.0.1:{port}{prefix}", {"PATH": os.environ["PATH"]}
    async with own_server(*command, output=folder / "output", ready=f"{url}/ping", environment=path):
        yield url
