"""One image, every variant: decoded once, the largest variant made first and the others from it."""

import math
from itertools import product

import pyvips
from pydantic import BaseModel

from common.errors import ImageError, ImageFault
from common.images.names import Format
from common.images.plan import Output
from common.images.sizes import Crop, Resize, Size
from common.imaging.probe import explain, fault_of, header
from common.imaging.protocol import Job
from resizer.operations.animate import animate
from resizer.operations.original import Original, Pixels
from resizer.operations.pixels import apply
from resizer.operations.placeholder import average_colour, shrunk, thumbhash
from resizer.operations.save import MOST_PIXELS_A_SIDE, Encoded, encode

# Standard deviation, in levels of 255. What decoders fill in is of one colour but for a few pixels.
_NOTHING_TO_SEE = 1.0


class RenderJob(Job):
    """What to render: the original's file, the sizes, the formats that each of them is written in, and the crop."""

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


def render(job: RenderJob) -> tuple[Rendered, list[bytes]]:
    """The operation: for each size one blob for each output, in their order. Raises ImageError, pyvips.Error."""
    found, _ = header(job.path, job.limits)
    width, height = (found.height, found.width) if found.sideways else (found.width, found.height)
    opaque = all(output.format is Format.JPG for output in job.outputs)
    box = (0, 0, width, height) if job.crop is None else job.crop.box(width, height)
    original = Original(job.path, found, box, opaque=opaque)
    damaged = False
    try:
        preview, made = _variants(job, original, strict=True)
    except pyvips.Error as error:
        if fault_of(error) is ImageFault.MEMORY:
            raise
        # As viewers do, show what there is of a damaged image; one that is all of a colour shows nothing.
        preview, made = _variants(job, original, strict=False)
        if preview.deviate() < _NOTHING_TO_SEE:
            raise ImageError(ImageFault.BROKEN, explain(error)) from error
        damaged = True
    small = shrunk(preview)
    variants = [
        Made(suffix=size.suffix, format=output.format, width=across, height=down)
        for (size, output), (across, down, _) in zip(product(job.sizes, job.outputs), made, strict=True)
    ]
    rendered = Rendered(
        width=width,
        height=height,
        frames=found.frames,
        variants=variants,
        damaged=damaged,
        thumbhash=thumbhash(small),
        colour=average_colour(small),
    )
    return rendered, [data for _, _, data in made]


def _variants(job: RenderJob, original: Original, *, strict: bool) -> tuple[pyvips.Image, list[Encoded]]:
    """Pixels for the placeholder, and for each size each output, in their order."""
    for size in job.sizes:
        _check(size, original, job)
    if original.header.frames > 1:
        steps = () if job.crop is None else (job.crop,)
        sizes = tuple(size.model_copy(update={"steps": (*steps, *size.steps)}) for size in job.sizes)
        return animate(job.path, original.header, sizes, job.outputs, strict=strict)
    pixels = Pixels(original, strict=strict)
    made: dict[str, list[Encoded]] = {}
    for size in sorted(job.sizes, key=lambda size: _area(size, original), reverse=True):
        image, rest = pixels.start(size.steps)
        image = apply(image, rest)
        if len(job.outputs) > 1:
            image = image.copy_memory()
        made[size.suffix] = [(image.width, image.height, encode(image, output, size)) for output in job.outputs]
    return pixels.preview, [encoded for size in job.sizes for encoded in made[size.suffix]]


def _area(size: Size, original: Original) -> int:
    """How many pixels the variant's first step leaves: the largest is made first, and others from it."""
    if size.steps and isinstance(size.steps[0], Resize):
        across, down = size.steps[0].geometry.resized(original.width, original.height)
        return across * down
    return original.width * original.height


def _check(size: Size, original: Original, job: RenderJob) -> None:
    across, down = size.dimensions(original.width, original.height)
    what = f"its version {size.suffix} would have {across:,} × {down:,} pixels"
    if across * down * original.header.frames > job.limits.pixels:
        raise ImageError(ImageFault.TOO_LARGE, what)
    for output in job.outputs:
        most = MOST_PIXELS_A_SIDE.get(output.format, math.inf)
        if max(across, down) > most:
            raise ImageError(ImageFault.TOO_LARGE, f"{what}: {most:,} a side are the most in {output.format.upper()}")
