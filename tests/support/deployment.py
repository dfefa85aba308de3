"""The image backend as it is deployed: its services as processes of their own, for a test to use and to kill."""

import asyncio
import io
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Self

import aiohttp
from tests.support.eventually import eventually
from tests.support.gateway import gateway
from tests.support.preloaded import AS_DEPLOYED, Preloaded
from tests.support.process import Process
from tests.support.rabbitmq import VirtualHost
from tests.support.s3 import TestBuckets, test_buckets
from tests.support.servers import Addresses, free_port

from common.storage.base import Buckets, Storage
from common.storage.local import LocalStorage
from common.storage.s3 import S3Storage, connect

SECRET = "secret-of-the-tests"
KINDS = ("embedded", "embedded-s3", "rabbit-local", "rabbit-s3")
# The same over S3, with the two buckets at two endpoints: nothing can be copied from one to the other on the server.
APART = "rabbit-s3-apart"
PYTHON = (sys.executable,)


class Deployment:
    """A running image backend. With `python`, such as PYTHON, that starts the services, as where they are deployed.

    Without it, or a command to start them through, they are forked from a process that has loaded them.
    """

    def __init__(self, kind: str, folder: Path, http: aiohttp.ClientSession, buckets: Buckets) -> None:
        self.kind = kind
        self.folder = folder
        self.http = http
        self.buckets = buckets
        self.environment: dict[str, str] = {}
        self.python: tuple[str, ...] = ()
        self.vhost: VirtualHost | None = None
        self.s3: TestBuckets | None = None
        self.processes: dict[str, Process] = {}

    @classmethod
    @asynccontextmanager
    async def prepared(
        cls, kind: str, folder: Path, nodes: Sequence[Addresses] = (), /, **settings: str
    ) -> AsyncIterator[Self]:
        """Everything but the services themselves, which `start` starts; all of it goes with the context.

        The broker is the run's, or that of these `nodes`, which nobody else uses.
        """
        async with AsyncExitStack() as stack:
            http = await stack.enter_async_context(aiohttp.ClientSession())
            s3 = await stack.enter_async_context(test_buckets()) if "s3" in kind else None
            buckets = await stack.enter_async_context(_s3(s3, folder)) if s3 else _local(folder)
            deployment = cls(kind, folder, http, buckets)
            deployment.s3 = s3
            deployment.environment = {
                **AS_DEPLOYED,
                "PATH": os.environ["PATH"],
                "TMPDIR": os.environ["TMPDIR"],
                "API_SECRET_KEY": SECRET,
                "TEMP_FOLDER": str(folder / "temp"),
                "ACTIVATION_WAIT": "0.5",
                "RESIZER_WORKERS": "2",
                **(s3.environment() if s3 else _local_settings(folder)),
            }
            if not deployment.in_one_process:
                vhost = VirtualHost.only(nodes) if nodes else VirtualHost.fresh()
                deployment.vhost = await stack.enter_async_context(vhost)
                deployment.environment["RABBITMQ_URL"] = deployment.vhost.url
            if s3 and kind == APART:
                deployment.environment |= s3.other_endpoint("ACTIVE")
            deployment.environment |= settings
            stack.push_async_callback(deployment.end)
            yield deployment

    @property
    def in_one_process(self) -> bool:
        """Whether all services are one process, without a broker."""
        return self.kind.startswith("embedded")

    @property
    def services(self) -> tuple[str, ...]:
        """The processes that make up this kind of deployment."""
        return ("standalone",) if self.in_one_process else ("ingest", "resizer", "publisher")

    def program(self, service: str) -> str:
        """The program that does what the service does."""
        return "standalone" if self.in_one_process else service

    async def start(self, *names: str, **settings: str) -> None:
        """Start these services (all of them by default), and wait until they are ready."""
        started = [self.launch(name, **settings) for name in names or self.services]
        for process in await asyncio.gather(*started):
            await self.wait_ready(process)

    async def launch(
        self, name: str, *, alias: str | None = None, through: Sequence[str] = (), **settings: str
    ) -> Process:
        """Start one service without waiting for it; `alias` tells a second one from the first.

        `through` is a command that becomes the service's process after it has changed what that may use.
        """
        port, metrics_port, log = free_port(), free_port(), self.folder / f"{alias or name}.log"
        ports = {"SERVICE_PORT": str(port), "METRICS_PORT": str(metrics_port)}
        process = await self._begin(name, self.environment | ports | settings, log, through)
        self.processes[alias or name] = Process(name, process, log, port, metrics_port)
        return self.processes[alias or name]

    async def _begin(
        self, name: str, environment: dict[str, str], log: Path, through: Sequence[str]
    ) -> asyncio.subprocess.Process | Preloaded:
        with log.open("ab") as output:
            if not (through or self.python):
                return await Preloaded.start(name, environment=environment, folder=self.folder, out=log, errors=log)
            command = *through, *(self.python or PYTHON), "-m", name
            return await asyncio.create_subprocess_exec(*command, env=environment, stderr=output, cwd=self.folder)

    async def wait_ready(self, process: Process) -> None:
        """Wait until `/readyz` says so."""

        async def ready() -> bool:
            assert process.running, process.log.read_text()
            try:
                prefix = "" if process.name == "resizer" else self.environment.get("ROUTE_PREFIX", "")
                async with self.http.get(f"{process.url}{prefix}/readyz") as answer:
                    return answer.status == 200
            except aiohttp.ClientError:
                return False

        await eventually(ready, f"readiness of {process.name}")

    async def end(self) -> None:
        """Stop whatever still runs."""
        for process in self.processes.values():
            await process.kill()

    @asynccontextmanager
    async def one_address(self) -> AsyncIterator[str]:
        """Where clients find everything: the process itself, or the gateway in front of the services."""
        prefix = self.environment.get("ROUTE_PREFIX", "")
        if self.in_one_process:
            yield self.url("ingest") + prefix
            return
        services = [self.url(name).removeprefix("http://") for name in ("ingest", "publisher")]
        async with gateway(self.folder / "gateway", free_port(), *services, prefix=prefix) as url:
            yield url

    def url(self, service: str) -> str:
        """Where the service listens."""
        return self.processes[self.program(service)].url

    async def upload(self, data: bytes, filename: str = "photo.jpg") -> tuple[int, dict[str, Any]]:
        """`POST /upload`. Returns status and body."""
        form = aiohttp.FormData()
        form.add_field("file", io.BytesIO(data), filename=filename, content_type="application/octet-stream")
        async with self.http.post(f"{self.url('ingest')}/upload", data=form) as answer:
            return answer.status, await answer.json()

    async def uploaded(self, data: bytes) -> str:
        """The name of an upload that must succeed."""
        status, body = await self.upload(data)
        assert status == 200, body
        filename: str = body["filename"]
        return filename

    async def publish(self, filename: object, secret: str = SECRET) -> tuple[int, dict[str, Any]]:
        """`POST /publish`. Returns status and body."""
        body = {"secret": secret, "filename": filename}
        async with self.http.post(f"{self.url('publisher')}/publish", json=body) as answer:
            return answer.status, await answer.json()

    async def public(self, key: str) -> tuple[int, bytes]:
        """What an anonymous visitor of the site gets for the key."""
        async with self.http.get(self.public_url(key)) as answer:
            return answer.status, await answer.read()

    def public_url(self, key: str) -> str:
        """Where an anonymous visitor of the site gets the key from."""
        return self.s3.public_url(self.s3.active, key) if self.s3 else f"{self.url('publisher')}/active/{key}"

    async def nothing_temporary(self) -> None:
        """Wait until TEMP_FOLDER is empty: what services write by themselves passes through it, and nothing stays."""

        async def empty() -> bool:
            return not any((self.folder / "temp").iterdir())

        await eventually(empty, "an empty TEMP_FOLDER")

    async def wait_for(self, bucket: Storage, key: str) -> None:
        """Wait until the bucket holds the key."""
        await eventually(lambda: bucket.stat(key), f"{key} in its bucket")


@asynccontextmanager
async def watched(folder: Path, **settings: str) -> AsyncIterator[Deployment]:
    """The embedded default, not started yet. In the end it has left no temporary file, and logged no error."""
    async with Deployment.prepared("embedded", folder, **settings) as deployment:
        yield deployment
        if "standalone" in deployment.processes:
            await deployment.nothing_temporary()
            defects = [line for line in deployment.processes["standalone"].lines() if line.get("level") == "error"]
            assert [line.get("exception", line["event"]) for line in defects] == []


async def keys(bucket: Storage) -> set[str]:
    """All keys of the bucket."""
    return {entry.key async for entry in bucket.entries()}


async def complete(deployment: Deployment, name: str) -> bool:
    """Whether all of the image is public, and nothing of it is left in *incoming*."""
    stem = name[:-4]
    wanted = {name, f"{stem}.json", *(f"{stem}{suffix}{name[-4:]}" for suffix in ("BI", "MI", "SI"))}
    in_active = {key for key in await keys(deployment.buckets.active) if key.startswith(stem)}
    in_incoming = {key for key in await keys(deployment.buckets.incoming) if key.startswith(stem)}
    return in_active == wanted and not in_incoming


def curl_upload(url: str, path: Path) -> str:
    """Upload with curl, as the README does. Returns the new name."""
    command = ["curl", "-sS", "-F", f"file=@{path}", f"{url}/upload"]
    answer = subprocess.run(command, check=True, capture_output=True, timeout=60)
    body = json.loads(answer.stdout)
    assert body["success"] is True, body
    filename: str = body["filename"]
    return filename


def _local(folder: Path) -> Buckets:
    return Buckets(LocalStorage.open(folder / "incoming"), LocalStorage.open(folder / "active"))


def _local_settings(folder: Path) -> dict[str, str]:
    return {
        "STORAGE_BACKEND": "local",
        "INCOMING_FOLDER": str(folder / "incoming"),
        "ACTIVE_FOLDER": str(folder / "active"),
    }


@asynccontextmanager
async def _s3(s3: TestBuckets, folder: Path) -> AsyncIterator[Buckets]:
    async with connect(s3.account) as client:
        yield Buckets(
            S3Storage(client, s3.account, s3.incoming, acl="private", cache_control="", temporary=folder),
            S3Storage(client, s3.account, s3.active, acl="public-read", cache_control="", temporary=folder),
        )
