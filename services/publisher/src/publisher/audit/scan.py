"""Reading both buckets, and the names that the site's database knows, into the index."""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from common.errors import JobFault
from common.images.names import TOMBSTONES, BadName, ImageKey, image_name_of
from common.storage.base import Buckets, Storage
from publisher.audit.findings import Finding, FindingClass
from publisher.audit.index import ACTIVE, DOCUMENTS, INCOMING, BucketIndex
from publisher.maintenance.repairs import key_of_any_format

_BATCH = 5_000  # objects
_NO_AGE = float("inf")  # seconds; a document is never in hand

OnFinding = Callable[[Finding], None]
NamedKey = tuple[str, str, float]  # the name of an image, a key and its age in seconds


async def read_buckets(buckets: Buckets, index: BucketIndex, on_finding: OnFinding, *, after: float) -> None:
    """Read all images and tombstones into the index.

    Calls `on_finding` for each key that fits no image's name and is older than `after` seconds.
    Raises JobFault, StorageFault.
    """
    for place, bucket in ((ACTIVE, buckets.active), (INCOMING, buckets.incoming)):
        await _read_bucket(place, bucket, index, on_finding, after)
    batch: list[str] = []
    async for entry in buckets.incoming.entries(TOMBSTONES):
        name = entry.key.removeprefix(TOMBSTONES)
        if image_name_of(str(key_of_any_format(name))) is None:
            on_finding(_unknown_key(INCOMING, entry.key))
            continue
        batch.append(name)
        if len(batch) == _BATCH:
            await index.add_deleted(batch)
            batch.clear()
    await index.add_deleted(batch)


async def _read_bucket(place: str, bucket: Storage, index: BucketIndex, on_finding: OnFinding, after: float) -> None:
    batch: list[NamedKey] = []
    async for entry in bucket.entries():
        name = image_name_of(entry.key)
        if name is not None:
            batch.append((name, entry.key, entry.age))
        elif entry.age >= after:
            on_finding(_unknown_key(place, entry.key))
        if len(batch) == _BATCH:
            await index.add(place, batch)
            batch.clear()
    await index.add(place, batch)


async def read_names(path: Path, index: BucketIndex, on_finding: OnFinding) -> None:
    """Read the names in the file, one to a line, into the index. Raises JobFault.

    Calls `on_finding` for each line that is no name.
    """
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as lines:
            names = _names(lines, path, on_finding)
            while batch := list(islice(names, _BATCH)):
                await index.add(DOCUMENTS, batch)
    except OSError as error:
        raise JobFault(f"the names {path} cannot be read: {error.strerror}") from error


def _names(lines: Iterator[str], path: Path, on_finding: OnFinding) -> Iterator[NamedKey]:
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        try:
            image = ImageKey.parse(text)
        except BadName as error:
            on_finding(Finding(f"{path}:{number}", FindingClass.MALFORMED, str(error)))
        else:
            yield image.name, str(image), _NO_AGE


def _unknown_key(place: str, key: str) -> Finding:
    return Finding(f"{place}/{key}", FindingClass.UNKNOWN_KEY, "it fits no image's name")
