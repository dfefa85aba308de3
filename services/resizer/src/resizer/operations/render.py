"""One image, every variant: decoded once, the largest variant made first and the others from it."""

import pyvips
from pydantic import BaseModel

from common.errors import ImageError, ImageFault
from common.images.names import Format
from common.images.sizes import Resize, Size
from common.imaging.probe import explain, fault_of, header
from common.imaging.protocol import Job, Limits
from resizer.operations.animate import animate
from resizer.operations.original import Original, Pixels
from resizer.operations.pixels import apply
from resizer.operations.placeholder import average_colour, shrunk, thumbhash
from resizer.operations.save import Encoded, encode

# Standard deviation, in levels of 255. What decoders fill in is of one colour but for a few pixels.
_NOTHING_TO_SEE = 1.0


class RenderJob(Job):
    """What to render: the original's file, the variants, and the format they are written in."""

    sizes: tuple[Size, ...]
    output: Format


class Made(BaseModel):
    """One variant, in pixels."""

    suffix: str
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
    """The operation: one blob for each size, in their order. Raises ImageError, pyvips.Error."""
    found, _ = header(job.path, job.limits)
    width, height = (found.height, found.width) if found.sideways else (found.width, found.height)
    original = Original(job.path, found, width, height, opaque=job.output is Format.JPG)
    damaged = False
    try:
        first, made = _variants(job, original, strict=True)
    except pyvips.Error as error:
        if fault_of(error) is ImageFault.MEMORY:
            raise
        # As viewers do, show what there is of a damaged image; one that is all of a colour shows nothing.
        first, made = _variants(job, original, strict=False)
        if first.deviate() < _NOTHING_TO_SEE:
            raise ImageError(ImageFault.BROKEN, explain(error)) from error
        damaged = True
    small = shrunk(first)
    variants = [
        Made(suffix=size.suffix, width=across, height=down)
        for size, (across, down, _) in zip(job.sizes, made, strict=True)
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
    """Pixels for the placeholder, and each variant in the order of the sizes."""
    if job.output is Format.GIF and original.header.frames > 1:
        return animate(job.path, original.header, job.sizes, strict=strict)
    for size in job.sizes:
        _check(size, original, job.limits)
    pixels = Pixels(original, strict=strict)
    made: dict[str, Encoded] = {}
    for size in sorted(job.sizes, key=lambda size: _area(size, original), reverse=True):
        image, rest = pixels.start(size.steps)
        image = apply(image, rest)
        made[size.suffix] = image.width, image.height, encode(image, job.output, size)
    return pixels.first, [made[size.suffix] for size in job.sizes]


def _area(size: Size, original: Original) -> int:
    """How many pixels the variant's first step leaves: the largest is made first, and others from it."""
    if size.steps and isinstance(size.steps[0], Resize):
        across, down = size.steps[0].geometry.resized(original.width, original.height)
        return across * down
    return original.width * original.height


def _check(size: Size, original: Original, limits: Limits) -> None:
    across, down = size.dimensions(original.width, original.height)
    if across * down > limits.pixels:
        raise ImageError(ImageFault.TOO_LARGE, f"its version {size.suffix} would have {across:,} × {down:,} pixels")
