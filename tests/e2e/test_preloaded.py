"""Services that the tests fork from a process that has loaded them are what a start makes of them."""

import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from tests.support.deployment import PYTHON, Deployment
from tests.support.eventually import eventually
from tests.support.pictures import photo
from tests.support.preloaded import AS_DEPLOYED, Preloaded

_SAYS = """
import asyncio, gc, json, os, random, resource, signal, sys, threading, time

if "SLEEPS" in os.environ:
    time.sleep(1000)
signals = signal.valid_signals()
print(json.dumps({
    "name": __name__,
    "file": __file__,
    "arguments": sys.argv,
    "path": sys.path,
    "environment": dict(os.environ),
    "folder": os.getcwd(),
    "descriptors": sorted(os.listdir("/proc/self/fd")),
    "standard": [os.path.realpath(f"/proc/self/fd/{number}") for number in (0, 1, 2)],
    "signals": {number: str(signal.getsignal(number)) for number in signals},
    "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
    "threads": [thread.name for thread in threading.enumerate()],
    "loop": str(asyncio.get_event_loop_policy()._local.__dict__),
    "session": os.getsid(0),
    "group": os.getpgid(0),
    "niceness": os.nice(0),
    "mask": os.umask(0),
    "limits": [resource.getrlimit(number) for number in range(16)],
    "collects": gc.isenabled(),
}))
print(random.random(), file=sys.stderr)
sys.exit(3)
"""
_STANDS = """
import asyncio, os, sys
from pathlib import Path
from typing import Any
from tests.support.deployment import Deployment

async def stand():
    async with Deployment.prepared("embedded", Path(sys.argv[1])) as deployment:
        await deployment.start()
        process = deployment.processes["standalone"]
        print(process.pid, *process.decoders(), flush=True)
        await asyncio.Event().wait()

asyncio.run(stand())
"""


async def test_what_is_forked_is_what_a_start_makes(tmp_path: Path) -> None:
    (tmp_path / "says.py").write_text(_SAYS)
    out, errors = tmp_path / "out", tmp_path / "errors"
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "WORD": "é", **AS_DEPLOYED}
    places: dict[str, Any] = {"folder": tmp_path, "out": out, "errors": errors}
    found, drawn = [], set()
    out.touch()
    errors.touch()
    sleeps = await Preloaded.start("says", environment=environment | {"SLEEPS": "1"}, **places)
    for preloaded in (False, True, True):
        out.write_bytes(b"")
        errors.write_bytes(b"")
        with out.open("ab") as output, errors.open("ab") as written:
            process = (
                await Preloaded.start("says", environment=environment, **places)
                if preloaded
                else await asyncio.create_subprocess_exec(
                    *PYTHON, "-m", "says", env=environment, cwd=tmp_path, stdin=-3, stdout=output, stderr=written
                )
            )
        assert await process.wait() == process.returncode == 3
        found.append(json.loads(out.read_text()))
        drawn.add(errors.read_text())
    assert sleeps.returncode is None
    sleeps.send_signal(signal.SIGTERM)
    assert await sleeps.wait() == -signal.SIGTERM
    assert found[0] == found[1] == found[2]
    assert len(drawn) == 3, "no two have the same random numbers"


async def test_a_forked_service_measures_itself(tmp_path: Path) -> None:
    async with Deployment.prepared("embedded", tmp_path) as deployment:
        for _ in range(2):
            before = time.time()
            await deployment.start()
            process = deployment.processes["standalone"]
            async with deployment.http.get(f"http://127.0.0.1:{process.metrics_port}/metrics") as answer:
                values = dict(line.rsplit(" ", 1) for line in (await answer.text()).splitlines() if line[0] != "#")
            assert float(values["process_start_time_seconds"]) > before - 1, "Linux rounds it"
            assert float(values["process_cpu_seconds_total"]) <= process.cpu_seconds() + 0.001, "but for rounding"
            assert not [name for name in values if 'route="/upload"' in name], "nothing of what was before"
            await deployment.uploaded(photo(300, 200))
            await process.kill()
            assert await process.terminate() == -signal.SIGKILL


async def test_nothing_is_left_of_a_test_process_that_is_killed(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _STANDS, str(tmp_path), env=os.environ | {"PYTHONPATH": "."}, stdout=-1
    )
    assert process.stdout is not None
    started = [int(word) for word in (await process.stdout.readline()).split()]
    started += children(process.pid)
    process.kill()
    await process.wait()
    assert len(set(started)) >= 3, "the service, a decoding process, and who forked it"

    async def gone() -> bool:
        return not any(exists(pid) for pid in started)

    await eventually(gone, f"the end of {started}")


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()
