"""A task in the background of a service may not end: the service stops, so that somebody starts it again."""

import asyncio
import json
import signal
import sys
from pathlib import Path

import pytest
from tests.support.servers import free_port

PROGRAM = """
import asyncio, sys
from common.images.names import ImageKey
from common.messaging.bus import Subscription
from common.messaging.embedded import EmbeddedBus
from common.messaging.events import ImageUploaded
from common.messaging.topology import RESIZER_LIVE
from common.lifecycle import Service, main, run
from common.wiring import open_buckets
from common.settings.base import Settings, read_settings

async def returns(): pass

async def raises(): raise ValueError("a defect")

async def is_given_up(): raise asyncio.CancelledError

async def goes_on(): await asyncio.Event().wait()

async def ends_a_task_of_the_bus():
    await bus.publish(ImageUploaded(source="/test", subject=ImageKey.parse("1475660224_1.jpg")))
    await goes_on()

def trouble(): raise ValueError("a defect of the bus")

bus = EmbeddedBus()

async def start():
    settings = read_settings(Settings)
    async with open_buckets(settings) as buckets:
        taking = Subscription(RESIZER_LIVE, {}, slots=1, deadline=1, trouble=trouble)
        service = Service(name="test", subscriptions=(taking,), background=(goes_on, globals()[sys.argv[1]]))
        await run(service, bus=bus, buckets=buckets, settings=settings)

main("test", start)
"""


async def begun(task: str, folder: Path) -> asyncio.subprocess.Process:
    settings = {"STORAGE_BACKEND": "local", "TEMP_FOLDER": str(folder / "temp"), "SERVICE_PORT": str(free_port())}
    settings |= {name: str(folder / name) for name in ("INCOMING_FOLDER", "ACTIVE_FOLDER")}
    settings |= {"DISABLE_PROMETHEUS_METRICS": "1", "API_SECRET_KEY": "secret"}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, task, env=settings, stderr=asyncio.subprocess.PIPE
    )


@pytest.mark.parametrize(
    ("task", "why"),
    [
        ("returns", "returns has ended"),
        ("raises", "a defect"),
        ("is_given_up", "is_given_up was cancelled by something"),
        ("ends_a_task_of_the_bus", "a defect of the bus"),
    ],
)
async def test_a_task_that_ends_stops_the_service_with_an_error_that_is_logged(
    tmp_path: Path, task: str, why: str
) -> None:
    process = await begun(task, tmp_path)
    _, said = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 1
    lines = [json.loads(line) for line in said.decode().splitlines()]
    (line,) = [line for line in lines if line["level"] == "error"]
    assert why in line["reason"]
    assert lines[-1]["event"] == "stopped", "what was in hand was finished"


async def test_a_service_whose_tasks_go_on_ends_well_when_it_is_told(tmp_path: Path) -> None:
    process = await begun("goes_on", tmp_path)
    assert process.stderr is not None
    while b'"started"' not in await asyncio.wait_for(process.stderr.readline(), 60):
        pass
    process.send_signal(signal.SIGTERM)
    _, said = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0
    assert b'"error"' not in said
