"""The OpenAPI description, held against the running thing: no 5xx, no undocumented answer, examples that are real."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.client.site import Site
from tests.support.deployment import SECRET, Deployment
from tests.support.exploration import seeds, some
from tests.support.pictures import SVG, photo, png_header, transparent_png

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
    async with Deployment.prepared("embedded", tmp_path, UPLOAD_IDLE_TIMEOUT="5", DEMO_PAGE="1") as prepared:
        await prepared.start()
        yield prepared


@pytest.mark.explores
@pytest.mark.timeout(600)  # thousands of requests, on a machine that may be busy
async def test_nothing_answers_other_than_it_says(deployment: Deployment) -> None:
    names = [await deployment.uploaded(data) for data in (photo(300, 200), transparent_png(30, 20), SVG)]
    for name in names[1:]:
        assert (await deployment.publish(name))[0] == 200
    document = deployment.folder / "openapi.json"
    document.write_text(json.dumps(await _with_every_form_of_body(deployment)))
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("schemathesis")),
        "run",
        str(document),
        f"--url={deployment.url('ingest')}",
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


async def _with_every_form_of_body(deployment: Deployment) -> dict[str, Any]:
    """The description, which names JSON alone, with the other forms of the same bodies."""
    async with deployment.http.get(f"{deployment.url('ingest')}/openapi.json") as answer:
        document: dict[str, Any] = await answer.json()
    for operation in (operation for methods in document["paths"].values() for operation in methods.values()):
        content = operation.get("requestBody", {}).get("content", {})
        if "application/json" in content:
            for form in ("application/x-www-form-urlencoded", "multipart/form-data"):
                content[form] = content["application/json"]
    return document


async def test_one_document_has_all_calls_of_a_site(site: Site) -> None:
    described = await site.described()
    assert site.url.endswith(described.document["servers"][0]["url"])
    for path, methods in described.document["paths"].items():
        for method in methods:
            # What no body was sent to, or what names no image, is refused; and yet it is there.
            status, body = await site.call(path.format(key="1475660224_1.jpg", file="page.js"), method=method.upper())
            assert status != 404 or not str(body["error"]).endswith("Not Found") or path == "/active/{key}", (
                path,
                body,
            )


async def test_examples_are_as_what_is_answered(deployment: Deployment) -> None:
    async with aiohttp.ClientSession() as http:
        url = deployment.url("ingest")
        site = Site(http, url, f"{url}/active", SECRET)
        document = (await site.described()).document

        def check(method: str, path: str, name: str, answer: Any) -> None:
            content = document["paths"][path][method]["responses"]["200"]["content"]["application/json"]
            assert _shape(answer) == _shape(content["examples"][name]["value"]), (path, name)

        waiting = aiohttp.FormData()
        waiting.add_field("file", photo(1600, 1200), filename="photo.jpg")
        _, rendered = await site.call("/upload", data=waiting, headers={"Prefer": "wait=60"})
        check("post", "/upload", "rendered", rendered)
        failing, image = await site.upload(png_header(500, 400)), rendered["filename"]
        check("get", "/status/{key}", "ready", await site.status(image))
        check("post", "/publish", "done", await site.done("/publish", filename=image))
        check("get", "/status/{key}", "active", await site.settled(image))
        check("post", "/recrop", "done", await site.done("/recrop", filename=image, crop="600x400+10+10"))
        check("post", "/rotate", "done", await site.done("/rotate", filename=image, rotation=-90))
        check("post", "/delete", "done", await site.done("/delete", filenames=[image]))
        check("get", "/status/{key}", "unknown", await site.status(image))
        check("get", "/status/{key}", "failed", await site.settled(failing))
        for path, name in (
            ("/capabilities", "default settings"),
            ("/livez", "alive"),
            ("/readyz", "ready"),
            ("/page/activity", "busy"),
        ):
            check("get", path, name, (await site.call(path, method="GET"))[1])
        _, stream = await site.call(f"/events/{image}", method="GET")
        example = document["paths"]["/events/{key}"]["get"]["responses"]["200"]["content"]["text/event-stream"]
        (told,) = example["examples"].values()
        assert _event(stream) == _event(told["value"])


def _shape(value: Any) -> Any:
    """The names of fields, and the types of values. Of a list, one of each shape."""
    if isinstance(value, dict):
        return {name: _shape(one) for name, one in value.items()}
    if isinstance(value, list):
        return sorted({json.dumps(_shape(one), sort_keys=True) for one in value})
    return type(value).__name__


def _event(stream: str) -> list[tuple[str, Any]]:
    """The fields of a stream with one event, and the shape of its data."""
    fields = [line.partition(": ")[::2] for line in stream.splitlines() if line]
    return [(name, _shape(json.loads(value)) if name == "data" else value) for name, value in fields]


_CLIENT = """
import sys
from io import BytesIO
from generated import Client
from generated.api.publication import delete_images, publish_image
from generated.api.uploads import get_capabilities, get_status, upload_image
from generated.models import Deletion, DoneAnswer, ErrorAnswer, Publication, Upload
from generated.types import File

url, secret, photo = sys.argv[1:]
client = Client(base_url=url)
with open(photo, "rb") as file:
    stored = upload_image.sync(client=client, body=Upload(file=File(BytesIO(file.read()), "photo.jpg")))
assert get_status.sync(stored.filename, client=client).key == stored.filename
refused = publish_image.sync_detailed(client=client, body=Publication(filename=stored.filename, secret="wrong"))
assert (refused.status_code, refused.parsed) == (403, ErrorAnswer(False, "wrong secret")), refused
body = Publication(filename=stored.filename, secret=secret)
assert publish_image.sync(client=client, body=body) == DoneAnswer(True)
assert "jpg" in get_capabilities.sync(client=client).reads
assert delete_images.sync(client=client, body=Deletion(filenames=stored.filename, secret=secret)) == DoneAnswer(True)
assert get_status.sync(stored.filename, client=client).state == "unknown"
"""


async def test_a_generated_client_works(site: Site, tmp_path: Path) -> None:
    (tmp_path / "openapi.json").write_text(json.dumps((await site.described()).document))
    (tmp_path / "settings.yml").write_text("post_hooks: []\n")
    (tmp_path / "photo.jpg").write_bytes(photo(300, 200))
    (tmp_path / "use.py").write_text(_CLIENT)
    generator = str(Path(sys.executable).with_name("openapi-python-client"))
    options = ("--path=openapi.json", "--output-path=generated", "--meta=none", "--config=settings.yml")
    said = await _ran(tmp_path, generator, "generate", *options, "--fail-on-warning")
    assert "WARNING" not in said.upper()
    await _ran(tmp_path, sys.executable, "use.py", site.url, site.secret, "photo.jpg")


async def _ran(folder: Path, *command: str) -> str:
    """What the command has said, which must succeed."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
    return out.decode()


async def test_the_events_are_described(deployment: Deployment) -> None:
    for service in ("ingest", "publisher", "resizer"):
        async with deployment.http.get(f"{deployment.url(service)}/asyncapi.json") as answer:
            assert (answer.status, answer.content_type) == (200, "application/json")
            assert {"ImageUploaded", "resizer.bulk"} <= (await answer.json())["channels"].keys()


async def test_a_service_that_the_gateway_does_not_lead_to_describes_itself_alone(tmp_path: Path) -> None:
    async with Deployment.prepared("rabbit-local", tmp_path) as deployment:
        await deployment.start("resizer")
        async with deployment.http.get(f"{deployment.url('resizer')}/openapi.json") as answer:
            paths = (await answer.json())["paths"]
        assert "/readyz" in paths
        assert "/upload" not in paths
