"""What Prometheus is told of real services, after work that is known."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.support.deployment import SECRET, Deployment, complete
from tests.support.eventually import eventually
from tests.support.pictures import photo
from tests.support.repaired import start_and_repair

PHOTO = photo(300, 200)


class Scrape:
    """The samples of one scrape, without the prefix that all of ours have."""

    def __init__(self, text: str) -> None:
        self._samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]

    def of(self, name: str, **labels: str) -> float:
        """The sum of the samples with this name and these labels."""
        wanted = labels.items()
        name = f"image_backend_{name}"
        return sum(one.value for one in self._samples if one.name == name and wanted <= one.labels.items())


@pytest.fixture(params=["embedded", "rabbit-s3"])
async def deployment(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Deployment]:
    async with Deployment.prepared(request.param, tmp_path) as started:
        await start_and_repair(started)
        yield started


async def scrape(deployment: Deployment, service: str) -> Scrape:
    process = deployment.processes[deployment.program(service)]
    async with deployment.http.get(f"http://127.0.0.1:{process.metrics_port}/metrics") as answer:
        return Scrape(await answer.text())


async def call(deployment: Deployment, path: str, **body: object) -> int:
    async with deployment.http.post(f"{deployment.url('publisher')}{path}", json=body) as answer:
        await answer.read()
        return answer.status


async def test_uploads(deployment: Deployment) -> None:
    await deployment.uploaded(PHOTO)
    for data, status in ((b"no picture", 400), (PHOTO[:200], 400), (b"", 400)):
        assert (await deployment.upload(data))[0] == status
    async with deployment.http.post(f"{deployment.url('ingest')}/upload", json={}) as answer:
        assert answer.status == 400
    found = await scrape(deployment, "ingest")
    assert found.of("uploads_total", format="jpg", outcome="stored") == 1
    assert found.of("upload_bytes_total", format="jpg") == len(PHOTO)
    assert found.of("uploads_total", format="jpg", outcome="refused") == 1
    assert found.of("uploads_total", format="unknown", outcome="refused") == 3
    assert found.of("uploads_total") == 5
    assert found.of("uploads_refused_total", reason="unsupported") == 1
    assert found.of("uploads_refused_total", reason="broken") == 1
    assert found.of("uploads_refused_total", reason="malformed") == 2
    assert found.of("uploads_refused_total") == 4


async def test_the_way_of_a_photo(deployment: Deployment) -> None:
    name = await deployment.uploaded(PHOTO)
    await deployment.wait_for(deployment.buckets.incoming, f"{name[:-4]}.json")
    assert (await deployment.publish(name))[0] == 200
    await eventually(lambda: complete(deployment, name), "a public image")
    assert (await deployment.publish("1475660224_1.jpg"))[0] == 404
    assert (await deployment.publish(name, secret="wrong"))[0] == 403
    assert await call(deployment, "/rotate", secret=SECRET, filename=name, rotation=45) == 400
    assert await call(deployment, "/recrop", secret=SECRET, filename=name, crop="x" * 70_000) == 413
    assert await call(deployment, "/delete", secret=SECRET, filenames=[name]) == 200

    async def handled() -> Scrape | None:
        found = await scrape(deployment, "resizer")
        return found if found.of("events_total", queue="resizer.live", type="ImageUploaded", outcome="done") else None

    resizer = await eventually(handled, "the handled event")
    assert resizer is not None
    assert resizer.of("event_wait_seconds_count", queue="resizer.live", type="ImageUploaded") == 1
    assert 0 < resizer.of("upload_ready_seconds_sum") < 100
    assert resizer.of("upload_ready_seconds_count") == 1
    assert 0 < resizer.of("render_cpu_seconds_total", format="jpg", stage="base") < 10
    assert (resizer.of("imaging_workers", pool="live"), resizer.of("imaging_workers", pool="background")) == (2, 2)
    assert resizer.of("imaging_workers_busy") == 0
    assert 10e6 < resizer.of("imaging_workers_memory_bytes", pool="live") < 2e9
    assert resizer.of("heavy_images_waiting") == 0
    assert resizer.of("store_seconds_count", operation="put_all", outcome="ok") == 1
    assert resizer.of("event_retries_total") == 0

    async def swept() -> Scrape | None:
        found = await scrape(deployment, "publisher")
        last = found.of("maintenance_last_success_timestamp_seconds", task="sweep")
        return found if last > 1_700_000_000 else None

    publisher = await eventually(swept, "the sweep at the start")
    assert publisher is not None
    assert publisher.of("upload_public_seconds_count") == 1
    outcomes = (("publish", "done"), ("publish", "unknown"), ("publish", "refused"), ("rotate", "refused"))
    for command, outcome in (*outcomes, ("recrop", "refused"), ("delete", "done")):
        assert publisher.of("command_seconds_count", command=command, outcome=outcome) == 1, (command, outcome)
    assert publisher.of("command_seconds_count") == 6
    assert publisher.of("store_seconds_count", operation="copy", outcome="ok") >= 4, "the original and its variants"
    assert publisher.of("store_seconds_count", operation="list", outcome="ok") >= 1, "the sweep at the start"
    assert publisher.of("store_seconds_count", outcome="fault") == 0
    assert publisher.of("build_info") == 1


async def test_uploads_that_do_not_arrive_or_are_too_large(tmp_path: Path) -> None:
    async with Deployment.prepared("embedded", tmp_path, MAX_UPLOAD_BYTES="100") as deployment:
        await deployment.start()
        assert (await deployment.upload(PHOTO))[0] == 413
        host, port = deployment.url("ingest").removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 90\r\n"
            b"Content-Type: multipart/form-data; boundary=b\r\n\r\n"
            b"--b\r\nContent-Disposition: form-data; name=file; filename=a\r\n\r\n"
        )
        await writer.drain()
        writer.close()

        async def lost() -> bool:
            return (await scrape(deployment, "ingest")).of("uploads_total", outcome="lost") == 1

        await eventually(lost, "the lost upload")
        found = await scrape(deployment, "ingest")
        assert found.of("uploads_total", format="unknown", outcome="refused") == 1
        assert found.of("uploads_refused_total", reason="too-large") == 1
        assert found.of("uploads_total") == 2


async def test_calls_while_the_store_is_away(tmp_path: Path) -> None:
    async with Deployment.prepared("embedded", tmp_path) as deployment:
        await deployment.start()
        (tmp_path / "incoming").rename(tmp_path / "away")
        status, _ = await deployment.upload(PHOTO)
        found = await scrape(deployment, "ingest")
        assert status == 503
        assert found.of("uploads_total", outcome="failed") == 1
        assert found.of("store_seconds_count", operation="put_file", outcome="fault") >= 1
        assert await call(deployment, "/publish", secret=SECRET, filename="1475660224_1.jpg") == 503
        found = await scrape(deployment, "publisher")
        assert found.of("command_seconds_count", command="publish", outcome="unavailable") == 1


async def test_a_busy_decoder_is_counted_while_it_has_a_job(tmp_path: Path) -> None:
    async with Deployment.prepared("embedded", tmp_path) as deployment:
        await deployment.start()
        large = photo(2400, 1600)
        uploading: list[asyncio.Task[tuple[int, dict[str, Any]]]] = []

        async def busy() -> bool:
            uploading.append(asyncio.create_task(deployment.upload(large)))  # before each look, so that one is in time
            return (await scrape(deployment, "resizer")).of("imaging_workers_busy", pool="live") > 0

        await eventually(busy, "a busy decoder")
        assert {status for status, _ in await asyncio.gather(*uploading)} == {200}

        async def idle() -> bool:
            return (await scrape(deployment, "resizer")).of("imaging_workers_busy") == 0

        await eventually(idle, "none that is busy")
