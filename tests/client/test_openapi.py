"""The OpenAPI description, held against the running thing by schemathesis: no 5xx, no undocumented answer."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.deployment import SECRET, Deployment
from tests.support.exploration import seeds, some
from tests.support.pictures import SVG, photo, transparent_png

_CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "allow_header_conformance",
)


@pytest.fixture
async def deployment(tmp_path: Path) -> AsyncIterator[Deployment]:
    async with Deployment.prepared("embedded", tmp_path, UPLOAD_IDLE_TIMEOUT="5") as prepared:
        await prepared.start()
        yield prepared


@pytest.mark.explores
async def test_nothing_answers_other_than_it_says(deployment: Deployment) -> None:
    names = [await deployment.uploaded(data) for data in (photo(300, 200), transparent_png(30, 20), SVG)]
    for name in names[1:]:
        assert (await deployment.publish(name))[0] == 200
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("schemathesis")),
        "run",
        f"{deployment.url('ingest')}/openapi.json",
        f"--checks={','.join(_CHECKS)}",
        "--phases=examples,coverage,fuzzing",
        some("--max-time=300", "--max-examples=10"),
        f"--seed={seeds(1, 1).start}",
        "--request-timeout=40",
        "--continue-on-failure",
        "--no-color",
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(Path.cwd()),
            "SCHEMATHESIS_HOOKS": "tests.support.fuzz_hooks",
            "FUZZ_SECRET": SECRET,
            "FUZZ_NAMES": ",".join(names),
        },
        cwd=deployment.folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
    said = [line["event"] for line in deployment.processes["standalone"].lines()]
    assert "request failed by a defect" not in said


async def test_the_events_are_described(deployment: Deployment) -> None:
    for service in ("ingest", "publisher", "resizer"):
        async with deployment.http.get(f"{deployment.url(service)}/asyncapi.json") as answer:
            assert (answer.status, answer.content_type) == (200, "application/json")
            assert {"ImageUploaded", "resizer.bulk"} <= (await answer.json())["channels"].keys()


async def test_the_page_for_people(deployment: Deployment) -> None:
    async with deployment.http.get(f"{deployment.url('ingest')}/docs") as answer:
        assert (answer.status, answer.content_type) == (200, "text/html")
        text = await answer.text()
    for path in ("/upload", "/status/{key}", "/publish", "/recrop", "/rotate", "/delete"):
        assert path in text
    assert "http://" not in text.replace(deployment.url("ingest"), ""), "nothing from elsewhere"
