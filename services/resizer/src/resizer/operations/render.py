"""The operation that renders all variants of one original. The order of the imaging steps is in `pipeline.py`."""

import math
import re
from dataclasses import dataclass, field, replace

import pyvips

from common.errors import FailureClass, ImageError
from common.images.formats import Format, Output
from common.images.geometry import Box
from common.images.sizes import Crop, Size
from common.imaging.probe import Header, header
from common.sandbox.faults import explain, fault_of
from common.sandbox.protocol import MAX_SIDE, Job, Original, Result, operation, require_positive
from resizer.operations.animate import animate, animation_preview
from resizer.operations.encode import MOST_A_SIDE
from resizer.operations.original import OriginalPart
from resizer.operations.pipeline import make_variants
from resizer.operations.placeholder import average_colour, shrink_for_placeholder, thumbhash
from resizer.operations.timing import UNTIMED, Period, Timing

# Standard deviation, in levels of 255: what decoders fill in has one colour, except for a few pixels.
_NOTHING_TO_SEE = 1.0
_THUMBHASH, _COLOUR = re.compile(r"[A-Za-z0-9+/=]{0,48}"), re.compile(r"#[0-9a-f]{6}")


@dataclass(frozen=True)
class RenderJob(Job):
    """What to render: the sizes, the formats that each of them is written in, and the crop."""

    sizes: tuple[Size, ...]
    outputs: tuple[Output, ...]
    crop: Crop | None = None


@dataclass(frozen=True)
class RenderedVariant:
    """One variant, in pixels. `period` is when it was made of the decoded image."""

    suffix: str
    format: Format
    width: int
    height: int
    period: Period = UNTIMED

    def __post_init__(self) -> None:
        """Raises ValueError for a variant of no size."""
        require_positive(self.width, self.height)


@dataclass(frozen=True)
class Rendered(Result):
    """All variants, in the order of their blobs. `width` and `height` are the original's, in pixels, upright.

    `decodings` are when it was decoded; an animation is decoded with each variant.
    """

    width: int
    height: int
    frames: int
    variants: list[RenderedVariant]
    damaged: bool
    thumbhash: str
    colour: str
    decodings: list[Period] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Raises ValueError for an image of no size, and where a placeholder or a colour is something else."""
        require_positive(self.width, self.height, self.frames)
        if not _THUMBHASH.fullmatch(self.thumbhash) or not _COLOUR.fullmatch(self.colour):
            raise ValueError("a placeholder or a colour out of form")

    def blobs_for(self, job: Job) -> int:
        """One for each variant. Raises ValueError unless they were asked for, in this order; some may be missing.

        A decoding process that was taken over may name others: they would be written over originals.
        """
        assert isinstance(job, RenderJob)
        wanted = iter([(size.suffix, output.format) for size in job.sizes for output in job.outputs])
        if not all((made.suffix, made.format) in wanted for made in self.variants):
            raise ValueError("variants that nobody asked for")
        if len(self.decodings) > len(job.sizes) + 1:
            raise ValueError("more decodings than there are sizes")
        return len(self.variants)


@dataclass(frozen=True)
class RenderedUnlessHeavy(Result):
    """All variants; None of a heavy image."""

    rendered: Rendered | None

    def blobs_for(self, job: Job) -> int:
        """Those of the variants."""
        return 0 if self.rendered is None else self.rendered.blobs_for(job)


@operation
def render(job: RenderJob, data: Original) -> tuple[Rendered, list[bytes]]:
    """The operation: for each size one blob for each output that can hold it, in the order of `variants`.

    Raises ImageError, pyvips.Error.
    """
    found, _ = header(data, job.limits)
    return _render(job, data, found)


@operation
def render_unless_heavy(job: RenderJob, data: Original) -> tuple[RenderedUnlessHeavy, list[bytes]]:
    """The operation `render`, but of a heavy image the header alone is read: it has to wait for its turn.

    A job for the header alone would cost each image a millisecond in the decoding process and one around it.
    Raises ImageError, pyvips.Error.
    """
    found, _ = header(data, job.limits)
    if found.is_heavy:
        return RenderedUnlessHeavy(rendered=None), []
    rendered, blobs = _render(job, data, found)
    return RenderedUnlessHeavy(rendered=rendered), blobs


def _render(job: RenderJob, data: Original, found: Header) -> tuple[Rendered, list[bytes]]:
    width, height = found.upright_width, found.upright_height
    opaque = all(output.format is Format.JPG for output in job.outputs)
    box = Box(0, 0, width, height) if job.crop is None else job.crop.box(width, height)
    part = OriginalPart(data, found, box, opaque=opaque)
    damaged, timing = False, Timing()
    try:
        preview, variants = _variants(job, part, timing, strict=True)
    except pyvips.Error as error:
        if fault_of(error) is not FailureClass.BROKEN:
            raise
        # A damaged image is shown as far as it goes, as viewers do. If all of it has one colour, nothing is left of it.
        timing.decodings.clear()
        preview, variants = _variants(job, part, timing, strict=False)
        if preview.deviate() < _NOTHING_TO_SEE:
            raise ImageError(FailureClass.BROKEN, explain(error)) from error
        damaged = True
    small = shrink_for_placeholder(preview)
    rendered = Rendered(
        width=width,
        height=height,
        frames=found.frames,
        variants=[made for made, _ in variants],
        damaged=damaged,
        thumbhash=thumbhash(small),
        colour=average_colour(small),
        decodings=timing.decodings,
    )
    return rendered, [blob for _, blob in variants]


def _variants(
    job: RenderJob, part: OriginalPart, timing: Timing, *, strict: bool
) -> tuple[pyvips.Image, list[tuple[RenderedVariant, bytes]]]:
    """Pixels for the placeholder, and the variants: for each size each output, in their order."""
    wanted = {size.suffix: _fitting(size, part, job) for size in job.sizes}
    if part.header.frames > 1:
        steps = () if job.crop is None else (job.crop,)
        sizes = tuple(replace(size, steps=(*steps, *size.steps)) for size in job.sizes)
        data, found = part.data, part.header
        preview = animation_preview(data, found, strict=strict)
        made = {size.suffix: animate(data, found, size, wanted[size.suffix], timing, strict=strict) for size in sizes}
    else:
        preview, made = make_variants(part, job.sizes, wanted, timing, strict=strict)
    return preview, [
        (RenderedVariant(size.suffix, output.format, found.width, found.height, found.period), found.data)
        for size in job.sizes
        for output, found in zip(wanted[size.suffix], made[size.suffix], strict=True)
    ]


def _fitting(size: Size, part: OriginalPart, job: RenderJob) -> list[Output]:
    """The outputs that can hold the size. Raises ImageError where it is larger than any may be."""
    across, down = size.dimensions(part.width, part.height)
    what = f"its version {size.suffix} would have {across:,} × {down:,} pixels"
    if across * down > job.limits.pixels:
        raise ImageError(FailureClass.TOO_LARGE, f"{what}; {job.limits.pixels:,} are the most")
    if (side := size.longest_side(part.width, part.height)) > MAX_SIDE:
        raise ImageError(
            FailureClass.TOO_LARGE, f"its version {size.suffix} would be cut out of {side:,} pixels a side"
        )
    fitting = [output for output in job.outputs if max(across, down) <= MOST_A_SIDE.get(output.format, math.inf)]
    if not fitting and Format.JPG in {output.format for output in job.outputs}:
        # Of the base variants none may be missing.
        raise ImageError(FailureClass.TOO_LARGE, f"{what}: {MOST_A_SIDE[Format.JPG]:,} a side are the most in JPEG")
    return fitting
