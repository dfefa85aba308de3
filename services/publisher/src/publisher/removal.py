"""Removing an image's objects by their keys, without a listing, so that it takes no longer in a large bucket."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sized
from functools import partial

from common.cancellation import together
from common.errors import StorageFault
from common.images.names import ImageKey, image_name_of, is_original
from common.images.plan import Plan
from common.images.records import Stage
from common.storage.base import Buckets, Storage
from common.storage.image_store import read_record

MOST_FAULTS = 32  # of one deletion: after them the store is away, and each further call would only take long
_AT_ONCE = 32  # calls to the store, of one request or event
_SHOWN = 5  # keys in a message


async def find_known_keys(image: ImageKey, *, buckets: Buckets, plan: Plan) -> set[str]:
    """All keys of the image that are known without a listing: by its name, and by its records in both buckets.

    What a record lists may be of earlier sizes than today's. Raises StorageFault.
    """
    both = (buckets.incoming, buckets.active)
    records = await together(*(read_record(bucket, image, stage) for bucket in both for stage in Stage))
    recorded = {variant.key for record in records if record is not None for variant in record.variants}
    return plan.keys_by_name(image) | {key for key in recorded if image_name_of(key) == image.name}


async def delete_everywhere(keys: Collection[str], *, buckets: Buckets) -> None:
    """Delete these keys in both buckets, originals first: handlers that write the others look for the original.

    A key that cannot be removed does not stop the others, up to MOST_FAULTS. Raises StorageFault naming what is left.
    """
    originals = {key for key in keys if is_original(key)}
    left: dict[str, StorageFault] = {}
    for some in (originals, set(keys) - originals):
        await run_limited(unless_away(_removals(some, buckets, left), left))
    if left:
        names = sorted(left)
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        raise StorageFault(f"cannot be removed: {', '.join(names[:_SHOWN])}{more} ({left[names[0]]})")


def _removals(
    keys: Iterable[str], buckets: Buckets, left: dict[str, StorageFault]
) -> Iterable[Callable[[], Awaitable[None]]]:
    places = (("active", buckets.active), ("incoming", buckets.incoming))  # what is public first

    async def remove(place: str, bucket: Storage, key: str) -> None:
        try:
            await bucket.delete(key)
        except StorageFault as fault:
            left[f"{place}/{key}"] = fault

    for key in keys:
        for place, bucket in places:
            yield partial(remove, place, bucket, key)


def unless_away(
    steps: Iterable[Callable[[], Awaitable[None]]], faults: Sized
) -> Iterator[Callable[[], Awaitable[None]]]:
    """The steps, which add to `faults` where the store fails them; no further one after MOST_FAULTS."""
    for step in steps:
        if len(faults) >= MOST_FAULTS:
            return
        yield step


async def run_limited(steps: Iterable[Callable[[], Awaitable[None]]]) -> None:
    """Take all the steps, some at a time. Raises what the first failing step raises; no further step is begun."""
    waiting = iter(steps)

    async def work() -> None:
        for step in waiting:
            await step()

    await together(*(work() for _ in range(_AT_ONCE)))
