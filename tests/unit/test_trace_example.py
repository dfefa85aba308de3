"""The example of `trace` in the documents is what the command prints of an image that ran out of retries."""

import os
import re
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from common.errors import Transient
from common.images.names import ImageKey
from common.images.plan import Plan
from common.images.records import Stage, record_key
from common.messaging.bus import DeadLetter, Subscription, dispatch
from common.messaging.dead_letters import DeadMessage, Wanted
from common.messaging.embedded import EmbeddedBus
from common.messaging.events import ImageUploaded, encode
from common.messaging.topology import RESIZER_LIVE, RETRY_DELAYS, WorkQueue
from common.sandbox import pool
from common.sandbox.protocol import Limits
from common.settings.base import read_settings
from common.storage.base import Buckets
from common.storage.local import LocalStorage
from publisher.jobs import trace
from publisher.settings import MaintenanceSettings
from publisher.trace.events import read_queues
from publisher.trace.model import KnownEvents
from publisher.trace.text import describe
from resizer.handlers import image_uploaded, retries_exhausted
from resizer.rendering import Renderer
from resizer.thumbnails import ResizerContext

IMAGE = ImageKey.parse("1795365566_6978085795.jpg")
UPLOADED = 1795365566.0
LAST_FAILURE = datetime(2026, 11, 22, 17, 41, 29, tzinfo=UTC)
NOW = LAST_FAILURE.timestamp() + 725
REASON = "the system killed its decoder twice; is there too little memory?"


class KillingPool:
    """A pool whose decoders the system kills."""

    limits = Limits()

    async def run(self, *_: object, **__: object) -> None:
        raise Transient(REASON)


class Broker:
    """The queues of a broker that has this dead letter and nothing else."""

    def __init__(self, letter: DeadMessage) -> None:
        self._letter = letter

    async def depth(self, _: WorkQueue) -> int:
        return 0

    async def retry_count(self, _: WorkQueue) -> int:
        return 0

    async def dead_letters(self, queue: WorkQueue, _: int, wanted: Wanted) -> list[DeadMessage]:
        return [self._letter] if queue.name == self._letter.queue and wanted(self._letter) else []


def documented() -> str:
    """The first block of the section, without the command."""
    section = Path("docs/operations.md").read_text().partition("\n## One image: trace\n")[2]
    example = re.search(r"^```\n\$ [^\n]*\n(.*?)\n```$", section, re.MULTILINE | re.DOTALL)
    assert example is not None
    return example[1]


async def dead_letter_of_the_last_attempt(event: ImageUploaded, buckets: Buckets, plan: Plan) -> DeadMessage:
    killing: Any = KillingPool()
    context = ResizerContext(buckets, EmbeddedBus(), Renderer(killing, plan))
    subscription = Subscription(
        queue=RESIZER_LIVE,
        handlers={ImageUploaded: partial(image_uploaded, context=context)},
        slots=1,
        deadline=60,
        retries_exhausted=partial(retries_exhausted, context=context),
    )
    body = encode(event)
    decision = await dispatch(body, len(RETRY_DELAYS), subscription, RETRY_DELAYS)
    assert isinstance(decision, DeadLetter)
    attempts = len(RETRY_DELAYS) + 1
    return DeadMessage(RESIZER_LIVE.name, event.id, body.decode(), decision.reason, attempts, last_failure=LAST_FAILURE)


def test_the_example_can_occur() -> None:
    passed = LAST_FAILURE.timestamp() - UPLOADED
    assert 0.75 * sum(RETRY_DELAYS) < passed < sum(RETRY_DELAYS) + 60, "the retries take about as long"
    assert f'Transient("{REASON}")' in Path(pool.__file__).read_text()


async def test_the_example_is_what_the_command_prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    incoming, active = tmp_path / "incoming", tmp_path / "active"
    folders = {"INCOMING_FOLDER": incoming, "ACTIVE_FOLDER": active, "TEMP_FOLDER": tmp_path / "temp"}
    given = {"STORAGE_BACKEND": "local", **{name: str(folder) for name, folder in folders.items()}}
    settings = read_settings(MaintenanceSettings, given)
    buckets = Buckets(LocalStorage.open(incoming), LocalStorage.open(active))
    await buckets.incoming.put(str(IMAGE), bytes(2_345_678))
    event = ImageUploaded(source="/ingest", subject=IMAGE, id="4b0e6c1d-52c7-4f0e-9a3b-7d1f8e2c9a60")
    letter = await dead_letter_of_the_last_attempt(event, buckets, settings.plan)
    for key, when in ((str(IMAGE), UPLOADED), (record_key(IMAGE, Stage.BASE), LAST_FAILURE.timestamp())):
        os.utime(incoming / key, (when, when))
    monkeypatch.setattr(time, "time", lambda: NOW)

    async def read_events(_: MaintenanceSettings, __: Buckets, image: ImageKey) -> KnownEvents:
        return await read_queues(image, Broker(letter))

    printed = describe(await trace(settings, IMAGE, read_events, ("publisher", "resizer")))
    assert documented() == printed
