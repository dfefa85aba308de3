"""What an operator sees of a service that cannot start, or has to wait."""

import asyncio
import os
import sys
from pathlib import Path

import pytest
from tests.support.deployment import PYTHON, Deployment
from tests.support.eventually import eventually
from tests.support.pictures import photo
from tests.support.servers import free_port
from tests.support.store_faults import fails, proxy_to


async def outcome(name: str, environment: dict[str, str]) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", name, env=environment, stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), 90)
    return process.returncode, (out + err).decode()


@pytest.mark.parametrize("service", ["ingest", "resizer", "publisher"])
async def test_a_service_without_its_settings_says_which_and_stops(service: str) -> None:
    status, said = await outcome(service, {"PATH": "/usr/bin"})
    assert status == 2
    lines = said.strip().splitlines()
    assert all(line.startswith(f"{service}: ") for line in lines), said
    for name in ("STORAGE_BACKEND", "RABBITMQ_URL"):
        assert any(f"{name} is not set: expected" in line for line in lines)


async def test_the_embedded_default_refuses_a_malformed_setting(tmp_path: Path) -> None:
    status, said = await outcome("standalone", {"SERVICE_PORT": "eighty", "RESIZING_CONFIG": '[{"suffix": "X"}]'})
    assert status == 2
    assert "SERVICE_PORT 'eighty' cannot be used" in said
    assert "RESIZING_CONFIG" in said
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    status, said = await outcome("standalone", {"TEMP_FOLDER": str(blocked)})
    assert status == 2
    assert f"TEMP_FOLDER {blocked} cannot be used" in said


async def test_an_empty_temporary_folder_is_one_in_the_system_s(tmp_path: Path) -> None:
    """Existing deployments pass it empty. Buckets' folders may lie in the system's folder, too."""
    async with Deployment.prepared("rabbit-local", tmp_path, TEMP_FOLDER="", TMPDIR=str(tmp_path)) as deployment:
        deployment.python = PYTHON
        await deployment.start("ingest")
        await deployment.uploaded(photo(300, 200))
        (started,) = [line for line in deployment.processes["ingest"].lines() if line["event"] == "started"]
        assert started["temp_folder"] == str(tmp_path / "image-backend")
        assert (tmp_path / "image-backend").stat().st_mode & 0o077 == 0, "nobody else can look at what is in hand"
        assert not list((tmp_path / "image-backend").iterdir())


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make what belongs to somebody else")
@pytest.mark.parametrize("kind", ["folder", "link"])
async def test_a_default_temporary_folder_of_somebody_else_is_not_used(tmp_path: Path, kind: str) -> None:
    default, other = tmp_path / "image-backend", tmp_path / "other"
    other.mkdir()
    if kind == "folder":
        default.mkdir(mode=0o777)
    else:
        default.symlink_to(other)
    os.chown(default, 12345, 12345, follow_symlinks=False)
    given = {"STORAGE_BACKEND": "local", "RABBITMQ_URL": "amqp://guest:guest@127.0.0.1:9/", "TMPDIR": str(tmp_path)}
    given |= {"INCOMING_FOLDER": str(tmp_path / "incoming"), "ACTIVE_FOLDER": str(tmp_path / "active")}
    status, said = await outcome("ingest", given)
    assert status == 2
    assert f"TEMP_FOLDER {default}, the default, belongs to another user" in said
    assert not list(other.iterdir())


async def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    async with Deployment.prepared("embedded", tmp_path) as deployment:
        deployment.python = PYTHON
        await deployment.start()
        port = deployment.url("ingest").rpartition(":")[2]
        free = {"SERVICE_PORT": str(free_port()), "METRICS_PORT": str(free_port())}
        for setting in free:
            status, said = await outcome("standalone", deployment.environment | free | {setting: port})
            assert status == 1
            assert f"cannot start: {setting} {port} cannot be used: address already in use" in said


async def test_a_store_that_is_not_up_yet_is_waited_for(tmp_path: Path) -> None:
    async with Deployment.prepared("rabbit-s3", tmp_path) as deployment:
        deployment.python = PYTHON
        assert deployment.s3 is not None
        settings = deployment.s3.environment(endpoint="http://127.0.0.1:9")
        publisher = await deployment.launch("publisher", **settings)

        async def says_why() -> bool:
            try:
                async with deployment.http.get(f"{publisher.url}/readyz") as answer:
                    said = await answer.json()
                    return answer.status == 503 and "storage cannot be used" in said["storage"]
            except OSError:
                return False

        await eventually(says_why, "a service that is not ready, and says why")

        async def logged() -> bool:
            lines = [line for line in publisher.lines() if line["event"] == "waiting for the store"]
            return any("127.0.0.1:9" in str(line["reason"]) for line in lines)

        await eventually(logged, "a line that says so")
        assert await publisher.terminate() == 0


async def test_obsolete_settings_are_said_and_ignored(tmp_path: Path) -> None:
    async with Deployment.prepared("embedded", tmp_path, THUMBNAILS_PUBLISH_DELAY="5") as deployment:
        deployment.python = PYTHON
        await deployment.start()
        lines = deployment.processes["standalone"].lines()
        assert any(line.get("setting") == "THUMBNAILS_PUBLISH_DELAY" for line in lines)


@pytest.mark.parametrize("service", ["ingest", "resizer", "publisher", "standalone"])
async def test_a_command_that_nobody_knows_is_refused(service: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", service, "nonsense", stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    _, said = await asyncio.wait_for(process.communicate(), 90)
    assert process.returncode == 2
    assert b"nonsense" in said


async def test_why_an_upload_was_refused_is_in_the_log(tmp_path: Path) -> None:
    async with Deployment.prepared("embedded", tmp_path) as deployment:
        deployment.python = PYTHON
        await deployment.start()
        await deployment.upload(b"no image")
        await deployment.publish("1475660224_1.jpg")
        answered = [line for line in deployment.processes["standalone"].lines() if line["event"] == "answered"]
        assert "not a JPEG" in str(answered[0]["reason"])
        assert answered[1]["image"] == "1475660224_1.jpg"
        assert "is not known" in str(answered[1]["reason"])


@pytest.mark.parametrize(("kind", "service"), [("rabbit-s3", "resizer"), ("embedded-s3", "standalone")])
async def test_while_its_store_is_away_a_service_blames_nothing_else(kind: str, service: str, tmp_path: Path) -> None:
    async with Deployment.prepared(kind, tmp_path) as deployment:
        assert deployment.s3 is not None
        async with proxy_to(deployment.s3) as proxy:
            await fails(proxy)
            process = await deployment.launch(service, STORE_ENDPOINT=f"http://127.0.0.1:{proxy.port}")

            async def waits() -> bool:
                events = [line["event"] for line in process.lines()]
                return "waiting for the store" in events and (
                    deployment.in_one_process or "connected to the broker" in events
                )

            await eventually(waits, "a service that waits for its store, and for nothing else")
            async with deployment.http.get(f"{process.url}/readyz") as answer:
                assert answer.status == 503
                said = await answer.json()
            assert "storage cannot be used" in said.pop("storage")
            events = "the service does not take events yet"
            assert said == {"ready": False, "broker": "ok", "decoders": "ok", "events": events}
            blamed = [line["dependency"] for line in process.lines() if line["event"] == "dependency cannot be used"]
            assert blamed == ["storage"]
            proxy.leave()
            await deployment.wait_ready(process)

            async def takes_events() -> bool:
                async with deployment.http.get(f"{process.url}/readyz") as answer:
                    return bool((await answer.json())["events"] == "ok")

            await eventually(takes_events, "a service that takes events")


async def test_a_resizer_is_ready_only_when_it_takes_events(tmp_path: Path) -> None:
    async with Deployment.prepared("rabbit-s3", tmp_path) as deployment:
        assert deployment.s3 is not None
        async with proxy_to(deployment.s3) as proxy:
            await fails(proxy)
            resizer = await deployment.launch("resizer", STORE_ENDPOINT=f"http://127.0.0.1:{proxy.port}")

            async def waits() -> bool:
                return any(line["event"] == "waiting for the store" for line in resizer.lines())

            await eventually(waits, "a service that waits for its store")
            await asyncio.sleep(4)  # until it looks at the store rarely
            proxy.leave()
            await deployment.wait_ready(resizer)
            connections = [line["connection"] for line in resizer.lines() if line["event"] == "connected to the broker"]
            assert set(connections) == {"resizer-consume", "resizer-publish"}
