"""One walk over both buckets, and through the names that the site's database knows."""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from common.errors import JobFault
from common.images.names import TOMBSTONES, BadName, ImageKey, image_name_of
from common.jobs import Outcome, Result
from common.storage.base import Buckets, Storage
from publisher.audit.findings import FindingClass
from publisher.audit.index import ACTIVE, DOCUMENTS, INCOMING, BucketIndex
from publisher.maintenance.repairs import any_key

_BATCH = 5_000  # objects
_NO_AGE = float("inf")  # a document is older than anything that may be in hand

Ended = Callable[[Outcome], None]
Owned = tuple[str, str, float]  # the name of an image, a key and its age


async def walk(buckets: Buckets, ledger: BucketIndex, ended: Ended, *, after: float) -> None:
    """Take down all images and tombstones; `ended` hears of the keys older than `after` that fit no name.

    Raises JobFault, StorageFault.
    """
    for place, bucket in ((ACTIVE, buckets.active), (INCOMING, buckets.incoming)):
        await _walk_bucket(place, bucket, ledger, ended, after)
    batch: list[str] = []
    async for entry in buckets.incoming.entries(TOMBSTONES):
        name = entry.key.removeprefix(TOMBSTONES)
        if image_name_of(str(any_key(name))) is None:
            ended(_unknown(INCOMING, entry.key))
            continue
        batch.append(name)
        if len(batch) == _BATCH:
            await ledger.add_deleted(batch)
            batch.clear()
    await ledger.add_deleted(batch)


async def _walk_bucket(place: str, bucket: Storage, ledger: BucketIndex, ended: Ended, after: float) -> None:
    batch: list[Owned] = []
    async for entry in bucket.entries():
        name = image_name_of(entry.key)
        if name is not None:
            batch.append((name, entry.key, entry.age))
        elif entry.age >= after:
            ended(_unknown(place, entry.key))
        if len(batch) == _BATCH:
            await ledger.add(place, batch)
            batch.clear()
    await ledger.add(place, batch)


async def read_names(path: Path, ledger: BucketIndex, ended: Ended) -> None:
    """Take down the names in the file, one to a line; `ended` hears of lines that hold none. Raises JobFault."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as lines:
            names = _names(lines, path, ended)
            while batch := list(islice(names, _BATCH)):
                await ledger.add(DOCUMENTS, batch)
    except OSError as error:
        raise JobFault(f"the names {path} cannot be read: {error.strerror}") from error


def _names(lines: Iterator[str], path: Path, ended: Ended) -> Iterator[Owned]:
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        try:
            image = ImageKey.parse(text)
        except BadName as error:
            ended(Outcome(f"{path}:{number}", Result.ERROR, FindingClass.MALFORMED, str(error)))
        else:
            yield image.name, str(image), _NO_AGE


def _unknown(place: str, key: str) -> Outcome:
    return Outcome(f"{place}/{key}", Result.ERROR, FindingClass.UNKNOWN_KEY, "it fits no image's name")
