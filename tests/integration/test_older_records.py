"""Images whose records earlier releases wrote: each command does with them what it does with today's.

tests/support/older_records has one record of each form that was ever written:

- `first`: without `damaged`;
- `damaged`: with it;
- `two_stages`: beside a record of the stage `modern`;
- `cropped`: with `crop`;
- `failed`, `gave_up`: of images that could not be rendered, without and with `damaged`.

None of them has `replaced`. They are of other settings than today's, and list variants of a size that is gone.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.support.every_call import PLAN, Site

from common.images.names import ImageKey
from common.images.records import Stage, decode_record, record_key
from common.images.sizes import Crop
from common.messaging.events import ImageUploaded
from common.storage.base import Storage
from common.storage.image_store import is_deleted, read_record
from common.storage.status import State, read_status
from publisher.activation import activate
from publisher.deletion import delete_images
from publisher.edits import recrop_image, rotate_image
from publisher.errors import ImageFailed
from publisher.maintenance.reconciler import Reconciler
from resizer.handlers import image_uploaded

IMAGE = ImageKey.parse("1475660224_0882910455.jpg")
RECORDS = Path("tests/support/older_records")
SUCCESSES = ("first", "damaged", "two_stages")
FAILURES = ("failed", "gave_up")
FORMS = (*SUCCESSES, "cropped", *FAILURES)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def objects(form: str) -> dict[str, bytes]:
    """What the buckets have of the image: the original, its records and what these list."""
    found = {str(IMAGE): b"the original"}
    for stage, ending in ((Stage.BASE, ".json"), (Stage.MODERN, ".modern.json")):
        path = RECORDS / f"{form}{ending}"
        if path.exists():
            content = path.read_bytes()
            found[record_key(IMAGE, stage)] = content
            found |= {variant["key"]: b"a variant" for variant in json.loads(content)["variants"]}
    return found


async def stored(bucket: Storage) -> dict[str, bytes]:
    return {entry.key: await bucket.get(entry.key) async for entry in bucket.entries()}


async def put(bucket: Storage, wanted: Mapping[str, bytes]) -> None:
    for key, content in wanted.items():
        await bucket.put(key, content)


async def make_public(site: Site, form: str) -> dict[str, bytes]:
    public = objects(form)
    if form == "cropped":
        public[IMAGE.crop_key] = b"1200x800+100+50"
    await put(site.buckets.active, public)
    return public


def test_each_form_has_its_record() -> None:
    assert {path.name.partition(".")[0] for path in RECORDS.iterdir()} == set(FORMS)


@pytest.mark.parametrize("form", FORMS)
def test_nothing_of_a_record_is_lost_when_it_is_read(form: str) -> None:
    for path in RECORDS.glob(f"{form}.*"):
        written = json.loads(path.read_bytes())
        assert decode_record(path.read_bytes()).model_dump(mode="json", by_alias=True, exclude_unset=True) == written


@pytest.mark.parametrize("form", SUCCESSES)
async def test_it_is_ready_and_activated_with_all_that_its_records_list(site: Site, form: str) -> None:
    await put(site.buckets.incoming, objects(form))
    assert (await read_status(IMAGE, buckets=site.buckets, plan=PLAN)).state is State.READY
    await activate(IMAGE, context=site.publisher_context, wait=2.0)
    public = await stored(site.buckets.active)
    # A stage that today's settings lack is left to the reconciler.
    private = await stored(site.buckets.incoming)
    assert public | private == objects(form)
    assert all(Path(key).suffix in (".webp", ".avif") or key.endswith(".modern.json") for key in private)
    await reconciler(site).repair_incoming()
    assert await stored(site.buckets.active) == objects(form)
    assert await stored(site.buckets.incoming) == {}


@pytest.mark.parametrize("form", FAILURES)
async def test_its_failure_is_told_and_nothing_moves(site: Site, form: str) -> None:
    await put(site.buckets.incoming, objects(form))
    failed = json.loads(objects(form)[record_key(IMAGE, Stage.BASE)])["failed"]
    status = await read_status(IMAGE, buckets=site.buckets, plan=PLAN)
    assert (status.state, status.reason) == (State.FAILED, failed["reason"])
    with pytest.raises(ImageFailed, match=failed["reason"]):
        await activate(IMAGE, context=site.publisher_context, wait=2.0)
    assert await stored(site.buckets.incoming) == objects(form)
    assert await stored(site.buckets.active) == {}


def reconciler(site: Site) -> Reconciler:
    return Reconciler(site.publisher_context, after=0, interval=60, repair_all_at_start=True, temporary=site.temporary)


@pytest.mark.parametrize("form", [*SUCCESSES, *FAILURES])
async def test_no_rendering_is_requested_of_an_upload(site: Site, form: str) -> None:
    await put(site.buckets.incoming, objects(form))
    assert await reconciler(site).repair_everything()
    assert await stored(site.buckets.incoming) == objects(form)
    assert await stored(site.buckets.active) == {}


@pytest.mark.parametrize("form", FORMS)
async def test_no_rendering_is_requested_of_a_public_image(site: Site, form: str) -> None:
    public = await make_public(site, form)
    assert await reconciler(site).repair_everything()
    assert await stored(site.buckets.active) == public
    assert (await read_status(IMAGE, buckets=site.buckets, plan=PLAN)).settled


@pytest.mark.parametrize("form", SUCCESSES)
async def test_a_move_that_was_interrupted_is_finished(site: Site, form: str) -> None:
    await put(site.buckets.incoming, objects(form))
    await site.buckets.active.put(str(IMAGE), b"the original")
    await reconciler(site).repair_incoming()
    assert await stored(site.buckets.active) == objects(form)
    assert await stored(site.buckets.incoming) == {}


@pytest.mark.parametrize("form", FORMS)
async def test_it_is_cropped_anew_and_stays_as_it_is(site: Site, form: str) -> None:
    public = await make_public(site, form)
    new = await recrop_image(IMAGE, Crop.parse("10x10+1+1"), context=site.edit_context)
    there = await stored(site.buckets.active)
    assert {key: content for key, content in there.items() if not key.startswith(new.name)} == public
    assert there[new.crop_key] == b"10x10+1+1"


@pytest.mark.parametrize("form", [form for form in FORMS if form != "cropped"])
async def test_it_is_rotated_and_nothing_of_the_old_image_is_left(site: Site, form: str) -> None:
    await make_public(site, form)
    new, warning = await rotate_image(IMAGE, 90, context=site.edit_context)
    assert warning is None
    assert set(await stored(site.buckets.active)) == {str(new), record_key(new, Stage.BASE)}
    assert await stored(site.buckets.incoming) == {}
    assert await is_deleted(IMAGE, buckets=site.buckets)


@pytest.mark.parametrize("form", FORMS)
async def test_it_is_deleted_with_all_that_its_records_list(site: Site, form: str) -> None:
    await make_public(site, form)
    await put(site.buckets.incoming, objects(form))
    context = site.publisher_context
    await delete_images(IMAGE, buckets=context.buckets, plan=context.plan, outbox=context.outbox)
    assert await stored(site.buckets.active) == {}
    assert await stored(site.buckets.incoming) == {}
    assert await is_deleted(IMAGE, buckets=site.buckets)


@pytest.mark.parametrize("form", [*SUCCESSES, *FAILURES])
async def test_it_is_rendered_with_todays_settings_and_without_the_size_that_is_gone(site: Site, form: str) -> None:
    public = await make_public(site, form)
    await image_uploaded(ImageUploaded(source="/resizer", subject=IMAGE), context=site.resizing)
    record = await read_record(site.buckets.active, IMAGE, Stage.BASE)
    assert record is not None
    assert record.failed is None
    assert record.configuration == PLAN.configuration(Stage.BASE)
    assert record.listed_keys(IMAGE) == PLAN.variant_keys(IMAGE, Stage.BASE)
    gone = f"{IMAGE.name}XL.jpg"
    assert set(await stored(site.buckets.active)) == (set(public) | record.listed_keys(IMAGE)) - {gone}
    assert record.replaced == ((gone,) if form in SUCCESSES else ())
