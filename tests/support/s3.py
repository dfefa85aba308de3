"""A real S3 server, and buckets of its own for each test."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from tests.support.docker import build, logs, ready, run_container
from tests.support.servers import Addresses, Started, Unavailable, free_port, launch, shared, wait_for

from common.storage.s3 import S3Account, connect

_CEPH = Path(__file__).parent / "ceph"
_IMAGE = "image-backend-tests/ceph:1"
BASE_IMAGE = "debian:bookworm-slim"  # what the image is built on
PROGRAM = Path("/usr/bin/radosgw")
_KEYS = {"access": "images", "secret": "images-secret"}


def s3_server() -> Addresses:
    """The run's S3 server: `endpoint`, and the keys `access` and `secret` that may make buckets."""
    return shared("s3", [_from_environment, _in_docker, _of_debian])


def _from_environment(_: Path) -> Started:
    if "TEST_S3_ENDPOINT" not in os.environ:
        raise Unavailable("TEST_S3_ENDPOINT, TEST_S3_ACCESS_KEY and TEST_S3_SECRET_KEY are not set")
    return {
        "endpoint": os.environ["TEST_S3_ENDPOINT"],
        "access": os.environ["TEST_S3_ACCESS_KEY"],
        "secret": os.environ["TEST_S3_SECRET_KEY"],
    }, {}


def _in_docker(_: Path) -> Started:
    build(_IMAGE, _CEPH)
    identity, ports = run_container(_IMAGE, [7480], {})
    endpoint = f"http://{ports[7480]}"
    return ready(identity, {"endpoint": endpoint, **_KEYS}, "Ceph in Docker", lambda: "ready" in logs(identity))


def _of_debian(folder: Path) -> Started:
    if not PROGRAM.exists():
        raise Unavailable("Debian's ceph is not installed")
    port = free_port()
    command = [str(_CEPH / "serve"), str(folder / "ceph"), "127.0.0.1", str(port)]
    process, stopper = launch(command, folder, {})
    output = folder / "output"
    wait_for("Debian's Ceph", lambda: "ready" in output.read_text(), process)
    return {"endpoint": f"http://127.0.0.1:{port}", **_KEYS}, stopper


@dataclass(frozen=True)
class TestBuckets:
    """Two empty buckets and how to reach them."""

    __test__ = False

    incoming: str
    active: str
    endpoint: str
    account: S3Account

    def environment(self, endpoint: str | None = None) -> dict[str, str]:
        """The settings that name these buckets."""
        return {
            "STORAGE_BACKEND": "s3",
            "INCOMING_BUCKET": self.incoming,
            "ACTIVE_BUCKET": self.active,
            "INCOMING_PREFIX": "STORE",
            "ACTIVE_PREFIX": "STORE",
            "STORE_ENDPOINT": endpoint or self.endpoint,
            "STORE_ACCESS_KEY_ID": self.account.access_key_id or "",
            "STORE_SECRET_KEY": self.account.secret_key or "",
            "STORE_DEFAULT_REGION": "default",
        }

    def other_endpoint(self, which: str) -> dict[str, str]:
        """The settings that have the INCOMING or ACTIVE bucket at another address than the other one."""
        names = {"127.0.0.1": "localhost", "localhost": "127.0.0.1"}
        host = next(name for name in names if name in self.endpoint)
        return {
            f"{which}_PREFIX": "OTHER",
            "OTHER_ENDPOINT": self.endpoint.replace(host, names[host]),
            "OTHER_ACCESS_KEY_ID": self.account.access_key_id or "",
            "OTHER_SECRET_KEY": self.account.secret_key or "",
            "OTHER_DEFAULT_REGION": "default",
        }

    def public_url(self, bucket: str, key: str) -> str:
        """Where an anonymous client would look for the object."""
        return f"{self.endpoint}/{bucket}/{key}"


@asynccontextmanager
async def test_buckets() -> AsyncIterator[TestBuckets]:
    """Two fresh buckets, which go with all that is in them."""
    server = s3_server()
    account = S3Account(server["endpoint"], server["access"], server["secret"], "default")
    token = uuid4().hex[:12]
    buckets = TestBuckets(f"incoming-{token}", f"active-{token}", server["endpoint"], account)
    async with connect(account) as client:
        for name in (buckets.incoming, buckets.active):
            await client.create_bucket(Bucket=name)
        try:
            yield buckets
        finally:
            for name in (buckets.incoming, buckets.active):
                await _remove(client, name)


async def _remove(client: object, name: str) -> None:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=name)  # type: ignore[attr-defined]
    async for page in pages:
        for found in page.get("Contents", ()):
            await client.delete_object(Bucket=name, Key=found["Key"])  # type: ignore[attr-defined]
    await client.delete_bucket(Bucket=name)  # type: ignore[attr-defined]


test_buckets.__test__ = False  # type: ignore[attr-defined]
