"""`python -m SERVICE check`: a line for each thing that was tried, on the real broker and the real store."""

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.support import without_walls
from tests.support.deployment import KINDS, Deployment, keys
from tests.support.migration import moving
from tests.support.originals import Originals
from tests.support.pictures import photo
from tests.support.preloaded import run_loaded
from tests.support.servers import free_port

from common.storage.s3 import connect


@pytest.fixture(params=KINDS)
async def deployment(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Deployment]:
    async with Deployment.prepared(request.param, tmp_path) as prepared:
        yield prepared


async def check(deployment: Deployment, service: str, **settings: str) -> tuple[int, str]:
    """Exit status, and what was printed."""
    environment = deployment.environment | settings
    ended = await run_loaded(service, "check", environment=environment, folder=deployment.folder)
    return ended.returncode, ended.stdout + ended.stderr


async def run(deployment: Deployment, *command: str, **settings: str) -> tuple[int, str]:
    """Exit status, and what was printed."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env=deployment.environment | settings,
        cwd=deployment.folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode() + err.decode()


async def test_all_is_well_and_nothing_is_left(deployment: Deployment) -> None:
    for service in deployment.services:
        status, printed = await check(deployment, service)
        assert status == 0, printed
        assert "FAILED" not in printed
        assert re.search(r"^ok      .* \(landlock: [1-9][0-9]*, seccomp: on\)$", printed, re.MULTILINE), printed
        assert len([line for line in printed.splitlines() if line.startswith("ok ")]) >= 12
    assert await keys(deployment.buckets.incoming) == set()
    assert await keys(deployment.buckets.active) == set()


@pytest.mark.parametrize(
    ("missing", "walls", "complaint"),
    [
        ("landlock", "landlock: 0, seccomp: on", "this system has no Landlock"),
        ("seccomp", "landlock: [1-9][0-9]*, seccomp: off", "this system has no seccomp"),
    ],
)
async def test_a_missing_wall_is_a_warning_and_a_failure_where_walls_are_required(
    tmp_path: Path, missing: str, walls: str, complaint: str
) -> None:
    what = rf"decoding processes are confined \({walls}\): "
    on_it = sys.executable, without_walls.SCRIPT, missing, sys.executable, "-m", "standalone"
    async with Deployment.prepared("embedded", tmp_path) as deployment:
        status, printed = await run(deployment, *on_it, "check")
        assert status == 0, printed
        assert re.search(f"^WARNING {what}{complaint}$", printed, re.MULTILINE), printed
        status, printed = await run(deployment, *on_it, "check", SANDBOX="required")
        assert status == 1, printed
        assert re.search(f"^FAILED  {what}SANDBOX=required, and {complaint}$", printed, re.MULTILINE), printed
        status, printed = await run(deployment, *on_it, SANDBOX="required")
        assert (status, f"standalone: SANDBOX=required, and no decoding process can start: {complaint}" in printed) == (
            2,
            True,
        ), printed


async def test_what_is_wrong_is_said(deployment: Deployment) -> None:
    service = deployment.services[0]
    status, printed = await check(deployment, service, STORAGE_BACKEND="")
    if not deployment.in_one_process:
        assert (status, "STORAGE_BACKEND is not set" in printed) == (2, True), printed
        status, printed = await check(deployment, service, RABBITMQ_URL=f"amqp://guest:guest@127.0.0.1:{free_port()}/")
        assert (status, "FAILED  the broker" in printed) == (1, True), printed
        assert "ok      objects can be deleted" in printed, "the rest is looked at all the same"
    if deployment.s3:
        status, printed = await check(deployment, service, ACTIVE_BUCKET="not-there")
        assert (status, "FAILED  active can be reached" in printed) == (1, True), printed
        assert await keys(deployment.buckets.incoming) == set()


def said(printed: str, beginning: str) -> list[str]:
    return [line for line in printed.splitlines() if line.startswith(beginning)]


@pytest.mark.parametrize("dead", ["refuses", "is silent", "is no S3 server"])
async def test_a_dead_store_is_one_failure(tmp_path: Path, dead: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        if dead == "is no S3 server":
            writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
        else:
            with suppress(ConnectionError):
                await reader.read()
        writer.close()

    async with Deployment.prepared("rabbit-s3", tmp_path) as deployment:
        assert deployment.s3 is not None
        server = await asyncio.start_server(answer, "127.0.0.1", free_port())
        port = server.sockets[0].getsockname()[1]
        if dead == "refuses":
            server.close()
        endpoint = f"http://127.0.0.1:{port}"
        status, printed = await check(deployment, "publisher", STORE_ENDPOINT=endpoint)
        server.close()
        assert status == 1
        assert len(said(printed, "ok")) == 3, printed
        (line,) = said(printed, "FAILED")
        assert line.startswith("FAILED  incoming can be reached: ")


@pytest.mark.parametrize(
    ("keys_given", "named"),
    [
        ({"STORE_ACCESS_KEY_ID": "", "STORE_SECRET_KEY": ""}, "STORE_ACCESS_KEY_ID and STORE_SECRET_KEY"),
        ({"STORE_SECRET_KEY": "not-the-key"}, "STORE_ACCESS_KEY_ID and STORE_SECRET_KEY"),
        ({"STORE_ACCESS_KEY_ID": "nobody"}, "STORE_ACCESS_KEY_ID and STORE_SECRET_KEY"),
        ({"INCOMING_PREFIX": "", "ACTIVE_PREFIX": ""}, "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
    ],
)
async def test_missing_and_wrong_keys_name_their_variables(
    tmp_path: Path, keys_given: dict[str, str], named: str
) -> None:
    async with Deployment.prepared("rabbit-s3", tmp_path) as deployment:
        assert deployment.s3 is not None
        aws = {"AWS_ENDPOINT_URL": deployment.s3.endpoint, "AWS_EC2_METADATA_DISABLED": "true", "HOME": str(tmp_path)}
        status, printed = await check(deployment, "ingest", **aws | keys_given)
        assert status == 1
        (line,) = said(printed, "FAILED")
        assert named in line
        assert "not-the-key" not in printed
        assert len(said(printed, "ok")) == 3, printed


async def test_one_place_for_both_buckets(tmp_path: Path) -> None:
    async with Deployment.prepared("rabbit-local", tmp_path) as deployment:
        folder = deployment.environment["INCOMING_FOLDER"]
        (tmp_path / "link").symlink_to(folder)
        for active in (folder, str(tmp_path / "link"), f"{folder}/active"):
            status, printed = await check(deployment, "publisher", ACTIVE_FOLDER=active)
            assert (status, "ACTIVE_FOLDER" in printed, "INCOMING_FOLDER" in printed) == (2, True, True), printed
            assert not said(printed, "ok")
    async with Deployment.prepared("rabbit-s3", tmp_path) as deployment:
        assert deployment.s3 is not None
        one = {"ACTIVE_BUCKET": deployment.s3.incoming}
        status, printed = await check(deployment, "publisher", **one)
        assert (status, "ACTIVE_BUCKET" in printed, "INCOMING_BUCKET" in printed) == (2, True, True), printed
        # Nothing in the settings tells that these two addresses are one server's.
        status, printed = await check(deployment, "publisher", **one, **deployment.s3.other_endpoint("ACTIVE"))
        assert status == 1
        assert "FAILED  incoming and active are two places: what is put into incoming is in active, too" in printed
        assert not any("copied" in line or "copy" in line for line in printed.splitlines())
        assert await keys(deployment.buckets.incoming) == set()


async def test_folders_that_cannot_be_used(tmp_path: Path) -> None:
    async with Deployment.prepared("embedded", tmp_path) as deployment:
        (tmp_path / "file").write_bytes(b"")
        status, printed = await check(deployment, "standalone", ACTIVE_FOLDER=str(tmp_path / "file" / "active"))
        assert (status, len(said(printed, "FAILED"))) == (1, 1), printed
        status, printed = await check(deployment, "standalone", TEMP_FOLDER=str(tmp_path / "file"))
        assert (status, said(printed, "ok")) == (2, []), printed


def tree(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


async def test_a_missing_folder_is_named_and_no_folder_is_left(tmp_path: Path) -> None:
    async with Deployment.prepared("embedded", tmp_path) as deployment:
        for bucket in ("incoming", "active"):
            (tmp_path / bucket / ".tmp").rmdir()
        before = tree(tmp_path)
        status, printed = await check(deployment, "standalone", TEMP_FOLDER=str(tmp_path / "new" / "temp"))
        assert (status, said(printed, "FAILED")) == (0, []), printed
        assert tree(tmp_path) == before
        for setting in ("INCOMING_FOLDER", "ACTIVE_FOLDER"):
            mistyped = tmp_path / "mistyped" / "folder"
            status, printed = await check(deployment, "standalone", **{setting: str(mistyped)})
            (line,) = said(printed, "FAILED")
            assert status == 1
            assert line.startswith(f"FAILED  the buckets can be opened: {setting} {mistyped}: there is no such folder")
            assert tree(tmp_path) == before


async def test_the_database_and_the_source_of_a_migration(tmp_path: Path) -> None:
    name = "1000000001_1.jpg"
    async with moving("rabbit-local", tmp_path) as site, Originals.served({name: photo(320, 240)}) as originals:
        await site.database.add([(1, "1000000009_9.jpg", False), (2, name, False), (3, None, None)])
        good = {"V5_DATABASE_URL": site.database.url, "V5_IMAGES": originals.url}
        status, printed = await check(site.deployment, "migrator", **good)
        assert (status, said(printed, "FAILED")) == (0, []), printed
        for line in ("the table app_images_archives", "the source of the originals", "it has an original that"):
            assert said(printed, f"ok      {line}"), printed
        (tmp_path / "empty").mkdir()
        for wrong, failed in (
            ({"V5_DATABASE_URL": f"postgresql://v5:v5@127.0.0.1:{free_port()}/v5"}, "the table app_images_archives"),
            ({"V5_IMAGES": "/nonexist"}, "the source of the originals can be reached: V5_IMAGES /nonexist is not"),
            ({"V5_IMAGES": f"http://127.0.0.1:{free_port()}"}, "the source of the originals can be reached: V5_IMAGES"),
            ({"V5_IMAGES": f"{originals.url}/elsewhere"}, "it has an original that the table names: of 2 that were"),
            ({"V5_IMAGES": str(tmp_path / "empty")}, "it has an original that the table names: of 2 that were"),
        ):
            status, printed = await check(site.deployment, "migrator", **good | wrong)
            assert (status, len(said(printed, "FAILED"))) == (1, 1), printed
            assert said(printed, f"FAILED  {failed}"), printed
        await site.database.execute("DROP TABLE app_images_archives")
        status, printed = await check(site.deployment, "migrator", **good)
        assert 'relation "app_images_archives" does not exist' in said(printed, "FAILED")[0]
        assert status == 1
        assert not tree(tmp_path / "temp")


async def test_a_private_bucket_that_everybody_can_read(tmp_path: Path) -> None:
    async with Deployment.prepared("rabbit-s3", tmp_path) as deployment:
        assert deployment.s3 is not None
        bucket = deployment.s3.incoming
        rule = {"Effect": "Allow", "Principal": {"AWS": ["*"]}, "Action": ["s3:GetObject"]}
        policy = {"Version": "2012-10-17", "Statement": [rule | {"Resource": [f"arn:aws:s3:::{bucket}/*"]}]}
        async with connect(deployment.s3.account) as client:
            await client.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
        status, printed = await check(deployment, "publisher")
        assert status == 1
        assert "FAILED  nobody else can read what is in incoming: anybody can read it" in printed
