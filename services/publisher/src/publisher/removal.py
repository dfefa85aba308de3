"""Removing an image's objects by their keys, without a listing, so that it takes no longer in a large bucket."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sized

from common.cancellation import together
from common.errors import NotDeleted, StorageFault
from common.images.names import ImageKey, image_name_of
from common.images.plan import Plan
from common.images.records import RECORD_ENDINGS, Stage
from common.storage.base import Buckets, Storage
from common.storage.image_store import read_record

MOST_FAULTS = 32  # of one deletion: after them the store is away, and each further call would only take long
_AT_ONCE = 32  # calls to the store, of one request or event


async def find_known_keys(image: ImageKey, *, buckets: Buckets, plan: Plan) -> set[str]:
    """All keys of the image that are known without a listing: by its name, and by its records in both buckets.

    What a record lists may be of earlier sizes than today's. Raises StorageFault.
    """
    both = (buckets.incoming, buckets.active)
    found = await together(*(read_record(bucket, image, stage) for bucket in both for stage in Stage))
    named = (record.listed_keys(image) | record.replaced_keys(image) for record in found if record is not None)
    return plan.keys_by_name(image).union(*named)


async def remove_everywhere(keys: Collection[str], *, buckets: Buckets) -> None:
    """Delete these keys in both buckets, records last: only a record may name an image's variants of earlier sizes.

    docs/bucket-protocol.md#records-go-last. A key that cannot be removed does not stop the others, but its image's
    records stay. Raises StorageFault naming what is left.
    """
    records = {key for key in keys if key.endswith(tuple(RECORD_ENDINGS.values()))}
    left = await _remove_in_both(set(keys) - records, buckets)
    unfinished = {image_name_of(key) for _, fault in left for key in fault.keys}
    left += await _remove_in_both({key for key in records if image_name_of(key) not in unfinished}, buckets)
    if left:
        raise StorageFault("cannot be removed: " + "; ".join(f"{place}/{fault}" for place, fault in left))


async def _remove_in_both(keys: Collection[str], buckets: Buckets) -> list[tuple[str, NotDeleted]]:
    """Delete these keys in both buckets. Returns what may be left, each with the name of its bucket."""
    left: list[tuple[str, NotDeleted]] = []

    async def delete(place: str, bucket: Storage) -> None:
        try:
            await bucket.delete_all(keys)
        except NotDeleted as fault:
            left.append((place, fault))

    await together(delete("active", buckets.active), delete("incoming", buckets.incoming))
    return left


def until_store_is_away(
    steps: Iterable[Callable[[], Awaitable[None]]], faults: Sized
) -> Iterator[Callable[[], Awaitable[None]]]:
    """The steps, which add to `faults` where the store fails them; no further one after MOST_FAULTS."""
    for step in steps:
        if len(faults) >= MOST_FAULTS:
            return
        yield step


async def run_steps(steps: Iterable[Callable[[], Awaitable[None]]]) -> None:
    """Take all the steps, some at a time. Raises what the first failing step raises; no further step is begun."""
    waiting = iter(steps)

    async def work() -> None:
        for step in waiting:
            await step()

    await together(*(work() for _ in range(_AT_ONCE)))
