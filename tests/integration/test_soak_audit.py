"""The audit at the end of a soak run notices whatever is not as it was answered."""

import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.soak.account import Account, Call, Place
from tests.soak.audit import Audit, audit_contents, audit_keys, whole

from common.images.formats import Format, Output
from common.images.names import ImageKey
from common.images.plan import Plan
from common.images.records import RECORD_ENDINGS, Record, Stage, encode_record, record_key
from common.images.sizes import parse_sizes
from common.storage.base import Buckets, Storage
from common.storage.local import LocalStorage

PLAN = Plan(parse_sizes(None), (Output(format=Format.WEBP),))
PRIVATE, PUBLIC, CROPPED, DELETED = (ImageKey.parse(f"1475660224_000000000{digit}.jpg") for digit in range(1, 5))
STRANGER = ImageKey.parse("1475660224_0000000005.png")
CROP = "9x9+0+0"
ORIGINAL = b"original"


async def put_whole(bucket: Storage, image: ImageKey, crop: str | None = None) -> None:
    for key in whole(image, crop, PLAN):
        await bucket.put(key, ORIGINAL if key == str(image) else b"thumbnail")
    if crop is not None:
        await bucket.put(image.crop_key, crop.encode())
    for stage in PLAN.stages:
        record = Record(stage=stage, configuration="any", crop=crop)
        await bucket.put(record_key(image, stage), encode_record(record))


@pytest.fixture
async def buckets(tmp_path: Path) -> Buckets:
    """Buckets that are as the account of `answered` says."""
    found = Buckets(LocalStorage.open(tmp_path / "incoming"), LocalStorage.open(tmp_path / "active"))
    await put_whole(found.incoming, PRIVATE)
    await put_whole(found.active, PUBLIC)
    await put_whole(found.active, CROPPED, CROP)
    await found.incoming.put(DELETED.tombstone_key, b"")
    return found


def answered() -> Account:
    account = Account()
    for key, calls in (
        (PRIVATE, []),
        (PUBLIC, [Call("/publish")]),
        (CROPPED, [Call("/publish", CROP)]),
        (DELETED, [Call("/publish"), Call("/delete")]),
    ):
        image = account.uploaded(key, hashlib.sha256(ORIGINAL).hexdigest())
        for call in calls:
            account.answered(image, call)
    return account


async def audit(account: Account, buckets: Buckets, plan: Plan) -> Audit:
    """As a soak run does at its end."""
    found = await audit_keys(account, buckets, plan)
    if not found.differences:
        found.differences += await audit_contents(account, buckets, plan)
    return found


async def test_buckets_as_they_were_answered(buckets: Buckets) -> None:
    found = await audit(answered(), buckets, PLAN)
    assert not found.differences
    assert not any(found.unnamed.values())


BREAKS: dict[str, Callable[[Buckets], Awaitable[object]]] = {
    "a lost original": lambda b: b.active.delete(str(PUBLIC)),
    "a lost thumbnail": lambda b: b.active.delete(PUBLIC.variant_key("BI")),
    "a lost record": lambda b: b.incoming.delete(record_key(PRIVATE, Stage.MODERN)),
    "another original": lambda b: b.active.put(str(PUBLIC), b"another"),
    "a private image that is public": lambda b: put_whole(b.active, PRIVATE),
    "a public image in both": lambda b: b.incoming.put(str(PUBLIC), ORIGINAL),
    "a thumbnail left behind": lambda b: b.incoming.put(PUBLIC.variant_key("SI", Format.WEBP), b"thumbnail"),
    "a deleted image that is back": lambda b: put_whole(b.active, DELETED),
    "a thumbnail of a deleted image": lambda b: b.active.put(DELETED.variant_key("MI"), b"thumbnail"),
    "a lost tombstone": lambda b: b.incoming.delete(DELETED.tombstone_key),
    "a tombstone of an image that was not deleted": lambda b: b.incoming.put(PUBLIC.tombstone_key, b""),
    "a lost crop": lambda b: b.active.delete(CROPPED.crop_key),
    "another crop": lambda b: b.active.put(CROPPED.crop_key, b"8x8+0+0"),
    "versions that show all": lambda b: put_record(b.active, CROPPED, crop=None),
    "versions that show a part": lambda b: put_record(b.active, PUBLIC, crop=CROP),
    "a half of an image of unknown name": lambda b: b.active.put(str(STRANGER), ORIGINAL),
    "an image that nobody asked for": lambda b: put_whole(b.active, STRANGER),
    "an unknown object": lambda b: b.active.put("unknown.txt", b""),
}


async def put_record(bucket: Storage, image: ImageKey, crop: str | None) -> None:
    record = Record(stage=Stage.BASE, configuration="any", crop=crop)
    await bucket.put(f"{image.name}{RECORD_ENDINGS[Stage.BASE]}", encode_record(record))


@pytest.mark.parametrize("what", BREAKS)
async def test_what_differs_is_noticed(what: str, buckets: Buckets) -> None:
    await BREAKS[what](buckets)
    found = await audit(answered(), buckets, PLAN)
    assert found.differences


async def test_a_call_that_was_left_open_may_have_had_its_effect_or_not(buckets: Buckets) -> None:
    account = answered()
    account.left_open(account.images[PUBLIC], Call("/delete"))
    assert not (await audit(account, buckets, PLAN)).differences
    for key in whole(PUBLIC, None, PLAN):
        await buckets.active.delete(key)
    assert (await audit(account, buckets, PLAN)).differences, "neither there nor deleted"
    await buckets.incoming.put(PUBLIC.tombstone_key, b"")
    assert not (await audit(account, buckets, PLAN)).differences


async def test_an_image_whose_name_nobody_was_told_has_to_be_one_of_a_call_without_an_answer(buckets: Buckets) -> None:
    account = answered()
    await put_whole(buckets.active, STRANGER)
    assert (await audit(account, buckets, PLAN)).differences
    account.left_open(account.images[CROPPED], Call("/recrop", CROP))
    found = await audit(account, buckets, PLAN)
    assert not found.differences
    assert found.unnamed[Place.PUBLIC] == 1
