"""The one image that needs no broker: its clients, its commands, kills, and settings of an existing backend."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import aiohttp
import pytest
from tests.client.site import Site
from tests.containers.load import uploading
from tests.containers.test_images import CONFINED, LOOK
from tests.containers.test_stack import client_suite
from tests.support.compose import docker, inspected, kill_first_process, python_base
from tests.support.eventually import eventually
from tests.support.s3 import test_buckets
from tests.support.servers import free_port

_SECRET = "made-up"


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    name = f"localhost/image-backend/standalone:{uuid4().hex[:8]}"
    arguments = ("--build-arg=SERVICE=standalone", f"--build-arg=PYTHON={python_base()}")
    docker("build", "-q", "-f", "deploy/Dockerfile", *arguments, "-t", name, ".")
    yield name
    docker("rmi", "--no-prune", name)


@contextmanager
def running(image: str, *options: str, settings: dict[str, str]) -> Iterator[tuple[str, str]]:
    """A container with the host's network, for a store of the tests. Gives its id and its address."""
    port, metrics_port = free_port(), free_port()
    given = {
        "API_SECRET_KEY": _SECRET,
        "GENERATE_WEBP": "1",
        "DEMO_PAGE": "1",
        "SERVICE_PORT": str(port),
        "METRICS_PORT": str(metrics_port),
        **settings,
    }
    variables = [f"-e={name}={value}" for name, value in given.items()]
    container = docker(
        "run", "-d", "--network=host", "--restart=unless-stopped", *CONFINED, *options, *variables, image
    )
    try:
        yield container, f"http://127.0.0.1:{port}"
    finally:
        docker("rm", "-f", "-v", container)


@pytest.fixture
def on_folders(image: str) -> Iterator[tuple[str, str]]:
    """With no setting but the secret, WebP, the page and its ports; its images are in the volume at /data."""
    volume = docker("volume", "create")
    with running(image, f"--volume={volume}:/data", settings={}) as found:
        yield found
    docker("volume", "rm", volume)


@pytest.fixture
async def on_s3(image: str, tmp_path: Path) -> AsyncIterator[tuple[str, str, str]]:
    """From a settings file as existing backends have it, with empty values. Gives the public address, too."""
    async with test_buckets() as s3:
        obsolete = {"THUMBNAILS_PUBLISH_DELAY": "20", "PREFER_IDENTIFY_OVER_FILE": "1", "ROUTE_PREFIX": ""}
        lines = s3.environment() | {"TEMP_FOLDER": "", "INCOMING_FOLDER": "", "V5_DATABASE_URL": ""} | obsolete
        file = tmp_path / "settings.env"
        file.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
        with running(image, f"--env-file={file}", settings={}) as (container, url):
            yield container, url, s3.public_url(s3.active, "").rstrip("/")


async def ready(url: str) -> None:
    async with aiohttp.ClientSession() as http:

        async def answers() -> bool:
            try:
                async with http.get(f"{url}/readyz") as answer:
                    return answer.status == 200
            except aiohttp.ClientError:
                return False

        await eventually(answers, "a container that is ready")


def command(container: str, *words: str) -> tuple[int, str]:
    """Exit status and output of a command in the running container."""
    run = ["docker", "exec", container, "/opt/image-backend/bin/service", *words]
    done = subprocess.run(run, check=False, stdout=-1, stderr=subprocess.STDOUT, text=True, timeout=300)
    return done.returncode, done.stdout


def test_what_is_in_the_image(image: str) -> None:
    found = json.loads(docker("run", "--rm", *CONFINED, "--entrypoint=python", image, "-c", LOOK))
    assert found == {
        "user": 10001,
        "packages": ["ingest", "resizer", "publisher", "migrator", "standalone"],
        "programs": [],
        "writable": ["/tmp"],
    }
    assert inspected(image)["Config"]["Labels"]["org.opencontainers.image.title"] == "image-backend-standalone"
    print(f"\nstandalone: {inspected(image)['Size'] / 1e6:.0f} MB")


async def test_the_client_suite_on_folders(on_folders: tuple[str, str]) -> None:
    _, url = on_folders
    await ready(url)
    await asyncio.to_thread(client_suite, url, _SECRET, f"{url}/active")


async def test_the_client_suite_on_s3(on_s3: tuple[str, str, str]) -> None:
    container, url, public = on_s3
    await ready(url)
    await asyncio.to_thread(client_suite, url, _SECRET, public)
    for words in (["check"], ["resize", "--missing"], ["clean"], ["reconcile", "--repair"], ["dead-letters"]):
        status, said = await asyncio.to_thread(command, container, *words)
        assert (status, "Traceback" in said, "FAILED" in said) == (0, False, False), (words, said)


async def test_no_upload_is_lost_when_the_container_on_folders_is_killed(
    image: str, on_folders: tuple[str, str]
) -> None:
    container, url = on_folders
    await loses_no_upload_when_killed(image, container, url, f"{url}/active")


async def test_no_upload_is_lost_when_the_container_on_s3_is_killed(image: str, on_s3: tuple[str, str, str]) -> None:
    container, url, public = on_s3
    await loses_no_upload_when_killed(image, container, url, public)


async def loses_no_upload_when_killed(image: str, container: str, url: str, public: str) -> None:
    await ready(url)
    async with aiohttp.ClientSession() as http:
        async with uploading(Site(http, url, public, _SECRET)) as uploads:
            for _ in range(2):
                before = len(uploads.names)

                async def more(before: int = before) -> bool:
                    return len(uploads.names) > before + 5

                await eventually(more, "uploads")
                await asyncio.to_thread(kill_first_process, image, container)
                await ready(url)
            await eventually(more, "uploads")
        assert inspected(container)["RestartCount"] == 2
        print(f"\n{len(uploads.names)} uploads were taken, and {len(uploads.troubles)} attempts had to be made again")
        await uploads.publish_all()
    status, said = await asyncio.to_thread(command, container, "reconcile")
    assert status == 0, said
