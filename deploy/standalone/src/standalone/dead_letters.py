"""Dead letters of the embedded default, as objects in *incoming*, and the command that works with them."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

import structlog

from common.cancellation import together
from common.errors import JobFault, NoSuchKey
from common.images.names import ImageKey
from common.messaging.dead_letters import DeadMessage
from common.messaging.kept_letters import KeptLetters
from common.storage.base import Buckets, Storage
from common.storage.check import missing_folders
from common.wiring import open_buckets
from publisher.trace.events import dead_event
from publisher.trace.model import KnownEvents
from standalone.settings import StandaloneSettings, read

log = structlog.get_logger()

_AT_ONCE = 16  # objects that are read at the same time


class StoredLetters:
    """Letters as objects of a bucket, under a prefix. Methods raise StorageFault."""

    def __init__(self, bucket: Storage, prefix: str) -> None:
        self._bucket = bucket
        self._prefix = prefix

    async def put(self, letter: DeadMessage) -> None:
        """Store the letter."""
        await self._bucket.put(f"{self._prefix}{letter.key}", _encode(letter))

    async def count(self, queue: str) -> int:
        """How many letters of the queue there are, by their keys alone."""
        return len([entry async for entry in self._bucket.entries(f"{self._prefix}{queue}.")])

    async def read(self) -> list[DeadMessage]:
        """All letters that can be read."""
        keys = [entry.key async for entry in self._bucket.entries(self._prefix)]
        found: list[DeadMessage | None] = []
        for at in range(0, len(keys), _AT_ONCE):
            found += await together(*map(self._read, keys[at : at + _AT_ONCE]))
        return [letter for letter in found if letter is not None]

    async def remove(self, letter: DeadMessage) -> None:
        """Remove the letter."""
        await self._bucket.delete(f"{self._prefix}{letter.key}")

    async def _read(self, key: str) -> DeadMessage | None:
        try:
            return _decode(await self._bucket.get(key))
        except NoSuchKey:  # it was removed meanwhile
            return None
        except (ValueError, KeyError, TypeError) as error:
            log.warning("an object is no dead letter", key=key, reason=str(error))
            return None


def stored_letters(incoming: Storage) -> KeptLetters:
    """The dead letters in the bucket."""
    return KeptLetters(StoredLetters(incoming, "dead-letters/"), StoredLetters(incoming, "replays/"))


@asynccontextmanager
async def open_letters() -> AsyncIterator[KeptLetters]:
    """Those that the settings name. Raises JobFault where nothing was ever stored, and makes no folder."""
    settings = read(StandaloneSettings)
    if (missing := missing_folders(settings.bucket_folders)) is not None:
        raise JobFault(missing)
    async with open_buckets(settings) as buckets:
        yield stored_letters(buckets.incoming)


async def known_events(_: StandaloneSettings, buckets: Buckets, image: ImageKey) -> KnownEvents:
    """What is stored of the image's events. Raises StorageFault."""
    letters = stored_letters(buckets.incoming)
    dead, replays = await letters.dead.read(), await letters.replays.read()
    return KnownEvents(
        dead_letters=[dead_event(letter) for letter in dead if letter.image == str(image)],
        replays=[dead_event(letter) for letter in replays if letter.image == str(image)],
        unknown=["whether an event of it waits or is to be retried: they are in the memory of the process that serves"],
    )


def _encode(letter: DeadMessage) -> bytes:
    return json.dumps(
        {
            "queue": letter.queue,
            "body": letter.body,
            "reason": letter.reason,
            "attempts": letter.attempts,
            "first_failure": letter.first_failure and letter.first_failure.isoformat(),
            "last_failure": letter.last_failure and letter.last_failure.isoformat(),
        }
    ).encode()


def _decode(content: bytes) -> DeadMessage:
    """Raises ValueError, KeyError or TypeError for anything else."""
    found = json.loads(content)
    return DeadMessage(
        queue=found["queue"],
        message_id=None,
        body=found["body"],
        reason=found["reason"],
        attempts=found["attempts"],
        first_failure=datetime.fromisoformat(found["first_failure"]),
        last_failure=datetime.fromisoformat(found["last_failure"]),
    )
