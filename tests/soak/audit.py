"""The buckets held against the account of what was answered."""

import asyncio
import hashlib
from collections import defaultdict
from dataclasses import dataclass, field

from tests.soak.account import Account, Image, Place, State

from common.images.names import TOMBSTONES, ImageKey, image_name_of, is_original
from common.images.plan import Plan
from common.images.records import decode_record, record_key
from common.storage.base import Buckets, Storage


@dataclass
class Audit:
    """What differs. `unnamed` counts whole images that no client was told the name of."""

    differences: list[str] = field(default_factory=list)
    unnamed: dict[Place, int] = field(default_factory=lambda: dict.fromkeys(Place, 0))


@dataclass(frozen=True)
class _There:
    """The keys of one image in *incoming* and in *active*, and whether it has a tombstone."""

    private: set[str]
    public: set[str]
    deleted: bool


_AT_ONCE = 16  # images whose contents are read at the same time


async def audit_keys(account: Account, buckets: Buckets, plan: Plan) -> Audit:
    """Compare the keys in both buckets with the account, in three listings. Raises StorageFault."""
    found = Audit()
    private, public = await _by_name(buckets.incoming), await _by_name(buckets.active)
    tombstones = {entry.key.removeprefix(TOMBSTONES) async for entry in buckets.incoming.entries(TOMBSTONES)}
    known = {image.key.name for image in account.images.values()}
    for image in account.images.values():
        name = image.key.name
        there = _There(private[name], public[name], deleted=name in tombstones)
        wrong = [_wrong_keys(image, state, there, plan) for state in image.possible]
        if None not in wrong:
            found.differences.append(f"{image.key}: {'; or '.join(map(str, wrong))}")
    for name in (private.keys() | public.keys()) - known:
        _unnamed(name, _There(private[name], public[name], deleted=name in tombstones), plan, found)
    for place, count in found.unnamed.items():
        if count > account.unnamed[place]:
            calls = account.unnamed[place]
            found.differences.append(f"{count} {place} images that nobody knows, of {calls} calls that were left open")
    return found


async def audit_contents(account: Account, buckets: Buckets, plan: Plan) -> list[str]:
    """What differs in the contents of the images whose keys are as they should be. Raises StorageFault."""
    turns = asyncio.Semaphore(_AT_ONCE)

    async def wrong(image: Image) -> list[str]:
        async with turns:
            return await _wrong_contents(image, image.state, buckets, plan)

    there = [image for image in account.images.values() if len(image.possible) == 1]
    there = [image for image in there if image.state.place is not Place.DELETED]
    return [line for lines in await asyncio.gather(*map(wrong, there)) for line in lines]


def whole(image: ImageKey, crop: str | None, plan: Plan) -> set[str]:
    """All keys of the image once there is no pending work on it."""
    keys = {str(image)} | ({image.crop_key} if crop else set())
    for stage in plan.stages:
        keys |= plan.variant_keys(image, stage) | {record_key(image, stage)}
    return keys


def _wrong_keys(image: Image, state: State, there: _There, plan: Plan) -> str | None:
    """What is wrong if the image is in this state, or None."""
    if state.place is Place.DELETED:
        left = there.private | there.public
        if left or not there.deleted:
            return f"was deleted, but {sorted(left)} are left" if left else "was deleted, but has no tombstone"
        return None
    if there.deleted:
        return f"is {state.place}, but has a tombstone"
    keys = whole(image.key, state.crop, plan)
    wanted = (keys, set()) if state.place is Place.PRIVATE else (set(), keys)
    for bucket, found, expected in (("incoming", there.private, wanted[0]), ("active", there.public, wanted[1])):
        if found != expected:
            return f"is {state.place}: {bucket} lacks {sorted(expected - found)}, and has {sorted(found - expected)}"
    return None


async def _wrong_contents(image: Image, state: State, buckets: Buckets, plan: Plan) -> list[str]:
    bucket = buckets.incoming if state.place is Place.PRIVATE else buckets.active
    wrong = []
    if image.digest and hashlib.sha256(await bucket.get(str(image.key))).hexdigest() != image.digest:
        wrong.append(f"{image.key} is not what was uploaded")
    if state.crop and (await bucket.get(image.key.crop_key)).decode() != state.crop:
        wrong.append(f"{image.key} has another crop than {state.crop}")
    for stage in plan.stages:
        record = decode_record(await bucket.get(record_key(image.key, stage)))
        if record.failed is not None:
            wrong.append(f"{image.key} failed: {record.failed.reason}")
        elif record.crop != state.crop:
            wrong.append(f"{image.key}: its {stage} versions show {record.crop or 'all'}, not {state.crop or 'all'}")
    return wrong


def _unnamed(name: str, there: _There, plan: Plan, found: Audit) -> None:
    """An image that no client knows: it has to be whole, or gone."""
    originals = {key for key in there.private | there.public if is_original(key)}
    if there.deleted or len(originals) != 1:
        found.differences.append(f"{name}: nobody knows it, and {sorted(there.private | there.public)} are left")
        return
    image = ImageKey.parse(originals.pop())
    keys = whole(image, image.crop_key if image.crop_key in there.public else None, plan)
    if (there.private, there.public) == (keys, set()):
        found.unnamed[Place.PRIVATE] += 1
    elif (there.private, there.public) == (set(), keys):
        found.unnamed[Place.PUBLIC] += 1
    else:
        found.differences.append(f"{image}: nobody knows it, and it is not whole: {there}")


async def _by_name(bucket: Storage) -> defaultdict[str, set[str]]:
    found: defaultdict[str, set[str]] = defaultdict(set)
    async for entry in bucket.entries():
        found[image_name_of(entry.key) or entry.key].add(entry.key)
    return found
