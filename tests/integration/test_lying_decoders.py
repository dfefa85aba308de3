"""A decoding process that was taken over may answer anything in the form of an answer: it names no key of its own."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from tests.support.hostile import Act, Answer, act
from tests.support.memory import MemoryStorage
from tests.support.world import PLAN

from common.errors import FailureClass, ImageError
from common.images.names import ImageKey
from common.images.records import Record, Stage, Variant, encode_record, record_key
from common.messaging.embedded import EmbeddedBus
from common.messaging.outbox import Outbox
from common.sandbox.pool import Pool
from common.sandbox.process import cause
from common.sandbox.protocol import Limits, Reply
from common.storage.base import Buckets
from publisher.activation import activate
from publisher.context import PublisherContext
from resizer.operations.render import Rendered, RenderedUnlessHeavy, RenderedVariant
from resizer.rendering import Renderer

IMAGE = ImageKey.parse("1475660224_1.jpg")
WANTED = [{"suffix": size.suffix, "format": "jpg", "width": 1, "height": 1} for size in PLAN.sizes]
RENDERED = {"width": 1, "height": 1, "frames": 1, "damaged": False, "thumbhash": "", "colour": "#000000"}


class Liar:
    """A pool whose processes answer with these variants."""

    limits = Limits()

    def __init__(self, variants: list[dict[str, Any]], blobs: int) -> None:
        rendered = Rendered(variants=[RenderedVariant(**variant) for variant in variants], **RENDERED)
        self.answer = RenderedUnlessHeavy(rendered=rendered), [b"x"] * blobs

    async def run(self, *_: object) -> tuple[RenderedUnlessHeavy, list[bytes]]:
        return self.answer


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
    ],
)
async def test_variants_that_nobody_asked_for_are_not_taken(
    variants: list[dict[str, Any]], blobs: int, tmp_path: Path
) -> None:
    (tmp_path / "original").write_bytes(b"original")
    pool: Any = Liar(variants, blobs)
    with pytest.raises(ImageError, match="makes no sense") as lie:
        await Renderer(pool, PLAN).render_stage(tmp_path / "original", IMAGE, Stage.BASE)
    assert lie.value.fault is FailureClass.CRASHED


@pytest.mark.parametrize("some", [WANTED, WANTED[1:], WANTED[:1], []])
async def test_variants_that_a_format_cannot_hold_may_be_missing(some: list[dict[str, Any]], tmp_path: Path) -> None:
    (tmp_path / "original").write_bytes(b"original")
    pool: Any = Liar(some, len(some))
    record, _ = await Renderer(pool, PLAN).render_stage(tmp_path / "original", IMAGE, Stage.BASE)
    assert [variant.key for variant in record.variants] == [f"1475660224_1{one['suffix']}.jpg" for one in some]


@pytest.mark.parametrize(
    "wrong", [{"colour": "</style><script>"}, {"thumbhash": "x" * 100_000}, {"width": -5}, {"frames": 0}]
)
def test_what_is_shown_to_visitors_has_its_form(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Rendered.model_validate({**RENDERED, "variants": [], **wrong})


@pytest.mark.parametrize("field", ["reason", "system_error", "trace"])
def test_no_sentence_is_long_enough_for_a_photo(field: str) -> None:
    with pytest.raises(ValidationError):
        Reply.model_validate({field: "x" * 100_000})


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
    assert cause(-11) == "SIGSEGV"
    assert cause(-40) == "signal 40"
