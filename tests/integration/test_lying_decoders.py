"""A decoding process that was taken over may answer anything in the form of an answer: it names no key of its own."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.support.hostile import Act, Answer, Lie, act, lie
from tests.support.memory import MemoryStorage
from tests.support.pictures import photo
from tests.support.world import PLAN

from common.errors import FailureClass, ImageError
from common.images.names import ImageKey
from common.images.records import Record, Stage, Variant, encode_record, record_key
from common.imaging.capable import Capabilities
from common.imaging.location import Stripped
from common.imaging.orient import Upright
from common.imaging.probe import Header
from common.imaging.rotate import Rotated
from common.messaging.embedded import EmbeddedBus
from common.messaging.outbox import Outbox
from common.sandbox.pool import Pool
from common.sandbox.process import Died
from common.sandbox.protocol import Limits, Reply, Result
from common.sandbox.replies import read_form
from common.storage.base import Buckets
from ingest.accept import UploadContext, accept_upload
from publisher.activation import activate
from publisher.context import PublisherContext
from resizer.operations.render import Rendered, RenderedUnlessHeavy
from resizer.rendering import Renderer

IMAGE = ImageKey.parse("1475660224_1.jpg")
WANTED = [{"suffix": size.suffix, "format": "jpg", "width": 1, "height": 1} for size in PLAN.sizes]
RENDERED = {"width": 1, "height": 1, "frames": 1, "damaged": False, "thumbhash": "", "colour": "#000000"}
HEADER = {"format": "jpg", "width": 64, "height": 48, "frames": 1, "orientation": 1, "interlaced": False}


LIMITS = Limits(memory_mb=512)
NONSENSE = "its decoder gave an answer that makes no sense"


class Liar:
    """A pool whose processes answer this."""

    limits = LIMITS

    def __init__(self, result: Result, blobs: int = 0) -> None:
        self.answer = result, [b"x"] * blobs

    async def run(self, *_: object, **__: object) -> tuple[Result, list[bytes]]:
        return self.answer


async def answered(kind: type[Result], result: dict[str, Any], blobs: int) -> None:
    """A decoding process answers this where a result of that kind is due."""
    async with Pool.open(1, LIMITS) as pool:
        job = Lie(limits=LIMITS, sizes=PLAN.sizes, outputs=PLAN.outputs(IMAGE, Stage.BASE), result=result, blobs=blobs)
        await pool.run(lie, job, kind, None)


@pytest.mark.parametrize(
    ("variants", "blobs"),
    [
        ([{**WANTED[0], "suffix": ""}], 1),  # the original's own key
        ([{**WANTED[0], "suffix": "", "format": "svg"}], 1),  # another original of that name
        ([{**WANTED[0], "suffix": "23"}], 1),  # the original of 1475660224_123
        ([{**WANTED[0], "suffix": "/x"}], 1),
        ([{**WANTED[0], "format": "webp"}], 1),
        (list(reversed(WANTED)), len(WANTED)),
        ([WANTED[0], WANTED[0]], 2),
        (WANTED, len(WANTED) - 1),
        (WANTED, len(WANTED) + 1),
    ],
)
async def test_variants_that_nobody_asked_for_are_not_taken(variants: list[dict[str, Any]], blobs: int) -> None:
    rendered = {**RENDERED, "variants": variants}
    for kind, result in ((Rendered, rendered), (RenderedUnlessHeavy, {"rendered": rendered})):
        with pytest.raises(ImageError, match=NONSENSE) as error:
            await answered(kind, result, blobs)
        assert error.value.fault is FailureClass.CRASHED


@pytest.mark.parametrize("some", [WANTED, WANTED[1:], WANTED[:1], []])
async def test_variants_that_a_format_cannot_hold_may_be_missing(some: list[dict[str, Any]], tmp_path: Path) -> None:
    await answered(Rendered, {**RENDERED, "variants": some}, len(some))
    (tmp_path / "original").write_bytes(b"original")
    pool: Any = Liar(
        RenderedUnlessHeavy(rendered=read_form(Rendered, json.dumps({**RENDERED, "variants": some}))), len(some)
    )
    record, _ = await Renderer(pool, PLAN).render_stage(tmp_path / "original", IMAGE, Stage.BASE)
    assert [variant.key for variant in record.variants] == [f"1475660224_1{one['suffix']}.jpg" for one in some]


@pytest.mark.parametrize(
    ("kind", "result", "most"),
    [
        (Header, HEADER, 0),
        (RenderedUnlessHeavy, {"rendered": None}, 0),
        (Capabilities, {"reads": [], "writes": []}, 0),
        (Upright, {"width": 1, "height": 1}, 1),
        (Rotated, {"width": 1, "height": 1}, 1),
        (Stripped, {"changed": True}, 1),
        (Stripped, {"changed": False}, 0),
    ],
)
async def test_each_operation_has_its_number_of_blobs(kind: type[Result], result: dict[str, Any], most: int) -> None:
    await answered(kind, result, most)
    for other in {0, 1, 2} - {most}:
        with pytest.raises(ImageError, match=NONSENSE):
            await answered(kind, result, other)


@pytest.mark.parametrize("wrong", [{"width": 0}, {"height": -5}, {"frames": 0}, {"orientation": 9}])
async def test_a_header_has_its_form(wrong: dict[str, Any]) -> None:
    with pytest.raises(ImageError, match=NONSENSE):
        await answered(Header, {**HEADER, **wrong}, 0)


async def test_an_upload_is_stored_as_what_its_first_bytes_announce_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "upload").write_bytes(photo(64, 48))
    incoming, bus = MemoryStorage(lambda: 0.0), EmbeddedBus()
    pool: Any = Liar(read_form(Header, json.dumps({**HEADER, "format": "svg"})))
    context = UploadContext(incoming=incoming, outbox=Outbox(bus), pool=pool, orient_pool=None)
    with pytest.raises(ImageError, match=NONSENSE):
        await accept_upload(tmp_path / "upload", context=context)
    assert not incoming.objects


@pytest.mark.parametrize(
    "wrong", [{"colour": "</style><script>"}, {"thumbhash": "x" * 100_000}, {"width": -5}, {"frames": 0}]
)
def test_what_is_shown_to_visitors_has_its_form(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Rendered"):
        read_form(Rendered, json.dumps({**RENDERED, "variants": [], **wrong}))


@pytest.mark.parametrize("field", ["reason", "system_error", "trace"])
def test_no_sentence_is_long_enough_for_a_photo(field: str) -> None:
    with pytest.raises(ValueError, match="too long"):
        read_form(Reply, json.dumps({field: "x" * 100_000}))


async def test_a_record_that_lists_others_objects_moves_none_of_them() -> None:
    incoming, active = MemoryStorage(lambda: 0.0), MemoryStorage(lambda: 0.0)
    buckets = Buckets(incoming, active)
    keys = (*(f"1475660224_1{size.suffix}.jpg" for size in PLAN.sizes), "1475660224_123.jpg", "1475660224_1.svg")
    for key in (str(IMAGE), *keys):
        await incoming.put(key, b"private")
    variants = tuple(Variant(key=key, format="jpg", width=1, height=1, bytes=1) for key in keys)
    record = Record(configuration=PLAN.configuration(Stage.BASE), variants=variants)
    await incoming.put(record_key(IMAGE, Stage.BASE), encode_record(record))
    bus = EmbeddedBus()
    await activate(IMAGE, context=PublisherContext(buckets, bus, Outbox(bus), PLAN, 3600.0))
    assert set(incoming.objects) == {"1475660224_123.jpg", "1475660224_1.svg"}
    assert not {"1475660224_123.jpg", "1475660224_1.svg"} & set(active.objects)


async def test_a_process_that_takes_another_name_is_measured_and_given_work_all_the_same() -> None:
    async with Pool.open(1, Limits(memory_mb=512, cpu_seconds=5)) as pool:
        for what in ("rename", "work"):
            answer, _ = await pool.run(act, Act(what=what, limits=pool.limits), Answer, None)
            assert answer.text == "done"


def test_every_signal_has_a_name() -> None:
    assert Died(-11).why == "SIGSEGV"
    assert Died(-40).why == "signal 40"
