"""A machine on which decoding processes cannot start, or are stopped: no photo is blamed, and all come back."""

import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.deployment import Deployment
from tests.support.eventually import eventually
from tests.support.pictures import photo
from tests.support.process import Process

KINDS = ("embedded", "rabbit-local")


class Python:
    """An interpreter of its own for a deployment, which can be replaced by something that ends at once."""

    def __init__(self, folder: Path) -> None:
        venv = Path(sys.prefix)
        (folder / "bin").mkdir(parents=True)
        (folder / "lib").symlink_to(venv / "lib")
        (folder / "pyvenv.cfg").write_bytes((venv / "pyvenv.cfg").read_bytes())
        self.path = folder / "bin" / "python"
        self.mend()

    def mend(self) -> None:
        self._point_to(Path(sys.executable).resolve())

    def break_it(self) -> None:
        self._point_to(Path("/bin/false"))

    def _point_to(self, target: Path) -> None:
        other = self.path.with_name("other")
        other.symlink_to(target)
        other.replace(self.path)


@pytest.fixture(params=KINDS)
async def deployment(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Deployment]:
    async with Deployment.prepared(request.param, tmp_path) as deployment:
        yield deployment


def resizing(deployment: Deployment) -> Process:
    return deployment.processes["standalone" if deployment.kind == "embedded" else "resizer"]


def signal_resizing(deployment: Deployment, number: signal.Signals) -> None:
    """Send it to the decoding processes that render; the first of the embedded default reads uploads' headers."""
    for pid in resizing(deployment).decoders()[deployment.kind == "embedded" :]:
        os.kill(pid, number)


async def readiness(deployment: Deployment) -> tuple[int, str]:
    async with deployment.http.get(f"{resizing(deployment).url}/readyz") as answer:
        return answer.status, (await answer.json())["decoders"]


async def rendered(deployment: Deployment, names: list[str]) -> None:
    for name in names:
        await deployment.wait_for(deployment.buckets.incoming, f"{name[:-4]}.json")
        record = json.loads(await deployment.buckets.incoming.get(f"{name[:-4]}.json"))
        assert "failed" not in record, record


async def test_a_machine_that_cannot_start_decoders_leaves_the_work_and_comes_back(
    deployment: Deployment, tmp_path: Path
) -> None:
    python = Python(tmp_path / "venv")
    deployment.python = (str(python.path),)
    await deployment.start()
    assert await readiness(deployment) == (200, "ok")
    python.break_it()
    signal_resizing(deployment, signal.SIGKILL)
    names = [await deployment.uploaded(photo(300, 200))]

    async def not_ready() -> bool:
        status, said = await readiness(deployment)
        return status == 503 and "the decoders cannot be used" in said

    await eventually(not_ready, "a service that is not ready")
    names += [await deployment.uploaded(photo(300, 200)) for _ in range(5)]
    for name in names:
        assert await deployment.buckets.incoming.stat(f"{name[:-4]}.json") is None
    python.mend()

    async def ready() -> bool:
        return await readiness(deployment) == (200, "ok")

    await eventually(ready, "a service that is ready again")
    await rendered(deployment, names)
    retried = [line for line in resizing(deployment).lines() if line["event"] == "event will be retried"]
    assert {line["image"] for line in retried} <= {names[0]}, "no other event has lost an attempt"


async def test_a_stopped_decoder_fails_no_photo(deployment: Deployment) -> None:
    await deployment.start(IMAGE_WALL_SECONDS="5")
    signal_resizing(deployment, signal.SIGSTOP)
    name = await deployment.uploaded(photo(300, 200))
    await rendered(deployment, [name])
    said = [line["event"] for line in resizing(deployment).lines()]
    assert "event will be retried" in said
