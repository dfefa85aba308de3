"""One image, every variant: decoded once, the largest variant made first and the others from it, none enlarged."""

import math

import pyvips
from pydantic import BaseModel

from common.errors import FailureClass, ImageError
from common.images.geometry import Box
from common.images.names import Format
from common.images.plan import Output
from common.images.sizes import Crop, Resize, Size
from common.imaging.probe import header
from common.sandbox.faults import explain, fault_of
from common.sandbox.protocol import Job, Original
from resizer.operations.animate import animate, animation_preview
from resizer.operations.original import DecodedPixels, Source
from resizer.operations.pixels import apply, resamples
from resizer.operations.placeholder import average_colour, shrink_for_placeholder, thumbhash
from resizer.operations.save import MOST_A_SIDE, Encoded, encode

# Standard deviation, in levels of 255. What decoders fill in is of one colour but for a few pixels.
_NOTHING_TO_SEE = 1.0


class RenderJob(Job):
    """What to render: the sizes, the formats that each of them is written in, and the crop."""

    sizes: tuple[Size, ...]
    outputs: tuple[Output, ...]
    crop: Crop | None = None


class Made(BaseModel):
    """One variant, in pixels."""

    suffix: str
    format: Format
    width: int
    height: int


class Rendered(BaseModel):
    """All variants, in the order of their blobs. `width` and `height` are the original's, in pixels, upright."""

    width: int
    height: int
    frames: int
    variants: list[Made]
    damaged: bool
    thumbhash: str
    colour: str


def render(job: RenderJob, data: Original) -> tuple[Rendered, list[bytes]]:
    """The operation: for each size one blob for each output that can hold it, in the order of `variants`.

    Raises ImageError, pyvips.Error.
    """
    found, _ = header(data, job.limits)
    width, height = found.upright_width, found.upright_height
    opaque = all(output.format is Format.JPG for output in job.outputs)
    box = Box(0, 0, width, height) if job.crop is None else job.crop.box(width, height)
    original = Source(data, found, box, opaque=opaque)
    damaged = False
    try:
        preview, variants = _variants(job, original, strict=True)
    except pyvips.Error as error:
        if fault_of(error) is not FailureClass.BROKEN:
            raise
        # As viewers do, show what there is of a damaged image; one that is all of a colour shows nothing.
        preview, variants = _variants(job, original, strict=False)
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
    )
    return rendered, [blob for _, blob in variants]


def _variants(job: RenderJob, original: Source, *, strict: bool) -> tuple[pyvips.Image, list[tuple[Made, bytes]]]:
    """Pixels for the placeholder, and the variants: for each size each output, in their order."""
    wanted = {size.suffix: _fitting(size, original, job) for size in job.sizes}
    if original.header.frames > 1:
        steps = () if job.crop is None else (job.crop,)
        sizes = tuple(size.model_copy(update={"steps": (*steps, *size.steps)}) for size in job.sizes)
        data, found = original.data, original.header
        preview = animation_preview(data, found, strict=strict)
        made = {size.suffix: animate(data, found, size, wanted[size.suffix], strict=strict) for size in sizes}
    else:
        pixels = DecodedPixels(original, strict=strict)
        made = {
            size.suffix: _pictures(pixels, size, wanted[size.suffix])
            for size in sorted(job.sizes, key=lambda size: _area(size, original), reverse=True)
        }
        preview = pixels.preview
    return preview, [
        (Made(suffix=size.suffix, format=output.format, width=width, height=height), data)
        for size in job.sizes
        for output, (width, height, data) in zip(wanted[size.suffix], made[size.suffix], strict=True)
    ]


def _pictures(pixels: DecodedPixels, size: Size, outputs: list[Output]) -> list[Encoded]:
    image, rest = pixels.start(size.steps)
    image = apply(image, rest)
    if len(outputs) > 1:
        image = image.copy_memory()
    original = pixels.original
    exact = not resamples(size.steps, original.width, original.height)
    return [
        (image.width, image.height, pixels.same_file(size, output) or encode(image, output, size, exact=exact))
        for output in outputs
    ]


def _area(size: Size, original: Source) -> int:
    """How many of the original's pixels the variant's first step leaves: the largest is made first, others from it."""
    if size.steps and isinstance(size.steps[0], Resize):
        across, down = size.steps[0].geometry.resized(original.width, original.height)
        return min(across, original.width) * min(down, original.height)
    return original.width * original.height


def _fitting(size: Size, original: Source, job: RenderJob) -> list[Output]:
    """The outputs that can hold the size. Raises ImageError where it is larger than any may be."""
    across, down = size.dimensions(original.width, original.height)
    what = f"its version {size.suffix} would have {across:,} × {down:,} pixels"
    if across * down > job.limits.pixels:
        raise ImageError(FailureClass.TOO_LARGE, f"{what}; {job.limits.pixels:,} are the most")
    fitting = [output for output in job.outputs if max(across, down) <= MOST_A_SIDE.get(output.format, math.inf)]
    if not fitting and Format.JPG in {output.format for output in job.outputs}:
        # Of the base variants none may be missing.
        raise ImageError(FailureClass.TOO_LARGE, f"{what}: {MOST_A_SIDE[Format.JPG]:,} a side are the most in JPEG")
    return fitting
