"""A real PostgreSQL, and a database of its own for each test."""

import os
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import asyncpg
from tests.support.docker import ready, run_container, runs_in
from tests.support.servers import Addresses, Started, Unavailable, free_port, launch, shared, wait_for

IMAGE = os.environ.get("TEST_POSTGRES_IMAGE", "postgres:17")
VARIABLE = "TEST_POSTGRES"
_PASSWORD = "password-of-the-tests"
_TABLE = """
    CREATE TABLE app_images_archives (
        image_archive_id integer PRIMARY KEY,
        filename character varying(30),
        has_svg boolean,
        date_time timestamp DEFAULT now(), width smallint, height smallint, categories smallint[], elevation smallint
    )
"""


def programs() -> Path | None:
    """The folder of Debian's newest server."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


def server() -> str:
    """The run's server, as `postgresql://USER:PASSWORD@HOST:PORT`; the user may make databases."""
    return shared("postgres", [_from_environment, _in_docker, _of_debian])["url"]


def _from_environment(_: Path) -> Started:
    if VARIABLE not in os.environ:
        raise Unavailable(f"{VARIABLE} is not set")
    return {"url": os.environ[VARIABLE].rstrip("/")}, {}


def _in_docker(_: Path) -> Started:
    identity, ports = run_container(IMAGE, [5432], {"POSTGRES_PASSWORD": _PASSWORD})
    addresses: Addresses = {"url": f"postgresql://postgres:{_PASSWORD}@{ports[5432]}"}
    # It starts twice: first for its own set-up, where nobody else can reach it.
    return ready(identity, addresses, "PostgreSQL in Docker", lambda: _listens(identity))


def _listens(identity: str) -> bool:
    return runs_in(identity, ["pg_isready", "-h", "127.0.0.1"])


def _of_debian(folder: Path) -> Started:
    where = programs()
    if where is None:
        raise Unavailable("Debian's postgresql is not installed")
    folder.mkdir()
    as_user: list[str] = []
    if os.geteuid() == 0:  # the server refuses to run as root
        shutil.chown(folder, "postgres", "postgres")
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
    port, data, secret = free_port(), folder / "data", folder / "password"
    secret.write_text(_PASSWORD)
    secret.chmod(0o644)
    start = (
        f'"{where}/initdb" -D "{data}" -U postgres -A scram-sha-256 --pwfile="{secret}" -E UTF8 --no-sync && '
        f'exec "{where}/postgres" -D "{data}" -p {port} -h 127.0.0.1 -k "{folder}" -F'
    )
    process, stopper = launch([*as_user, "bash", "-c", start], folder / "process", {"LC_ALL": "C.UTF-8"})
    output = folder / "process" / "output"
    wait_for("Debian's PostgreSQL", lambda: "ready to accept connections" in output.read_text(), process)
    return {"url": f"postgresql://postgres:{_PASSWORD}@127.0.0.1:{port}"}, stopper


@dataclass(frozen=True)
class V5Database:
    """A database with the v5 table."""

    url: str
    connection: asyncpg.Connection

    async def add(self, rows: Sequence[tuple[int, str | None, bool | None]]) -> None:
        """Archive rows: id, filename, has_svg."""
        await self.connection.copy_records_to_table(
            "app_images_archives", records=rows, columns=["image_archive_id", "filename", "has_svg"]
        )

    async def execute(self, statement: str) -> None:
        """Anything else."""
        await self.connection.execute(statement)


@asynccontextmanager
async def v5_database() -> AsyncIterator[V5Database]:
    """A fresh database, which goes with all that is in it."""
    name = f"test_{uuid4().hex[:12]}"
    base = server()
    image_name_of = await asyncpg.connect(f"{base}/postgres")
    try:
        await image_name_of.execute(f"CREATE DATABASE {name}")
        try:
            connection = await asyncpg.connect(f"{base}/{name}")
            try:
                await connection.execute(_TABLE)
                yield V5Database(f"{base}/{name}", connection)
            finally:
                await connection.close()
        finally:
            await image_name_of.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await image_name_of.close()
