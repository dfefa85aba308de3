"""One image, every variant: decoded once, the largest variant made first and the others from it."""

from dataclasses import dataclass

import pyvips
from pydantic import BaseModel

from common.errors import ImageError, ImageFault
from common.images.names import Format
from common.images.sizes import Size
from common.imaging.probe import Header, explain, header, load
from common.imaging.protocol import Job
from resizer.operations.animate import animate
from resizer.operations.pixels import cut, fit, flatten, to_srgb, turn
from resizer.operations.placeholder import average_colour, thumbhash
from resizer.operations.save import encode

# How much of the reduction is left to the resampler after the decoder's own. Less is faster and softer.
_LEFT_TO_RESAMPLER = 2.0
_JPEG_SHRINKS = (8, 4, 2)


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


@dataclass(frozen=True)
class _Original:
    """The original's header and where to decode it from; dimensions in pixels, upright."""

    job: RenderJob
    header: Header
    width: int
    height: int


def render(job: RenderJob) -> tuple[Rendered, list[bytes]]:
    """The operation: one blob for each size, in their order. Raises ImageError, pyvips.Error."""
    found, _ = header(job.path, job.limits)
    width, height = (found.height, found.width) if found.sideways else (found.width, found.height)
    original = _Original(job, found, width, height)
    damaged = False
    try:
        first, made = _variants(original, strict=True)
    except pyvips.Error as error:
        # As viewers do, show what there is of a damaged image; one that is all of a colour shows nothing.
        first, made = _variants(original, strict=False)
        if first.min() == first.max():
            raise ImageError(ImageFault.BROKEN, explain(error)) from error
        damaged = True
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
        thumbhash=thumbhash(first),
        colour=average_colour(first),
    )
    return rendered, [data for _, _, data in made]


def _variants(original: _Original, *, strict: bool) -> tuple[pyvips.Image, list[tuple[int, int, bytes]]]:
    """Pixels for the placeholder, and each variant's width, height and bytes in the order of the sizes."""
    job, found = original.job, original.header
    if job.output is Format.GIF and found.frames > 1:
        return animate(job.path, found, job.sizes, strict=strict)
    return _stills(original, strict=strict)


def _stills(original: _Original, *, strict: bool) -> tuple[pyvips.Image, list[tuple[int, int, bytes]]]:
    """The largest variant's pixels, and each variant's width, height and bytes in the order of the sizes."""
    job = original.job
    scaled = {size: size.scaled(original.width, original.height) for size in job.sizes}
    by_area = sorted(job.sizes, key=lambda size: scaled[size][0] * scaled[size][1], reverse=True)
    pixels: list[pyvips.Image] = []
    made: dict[str, tuple[int, int, bytes]] = {}
    for size in by_area:
        width, height = scaled[size]
        source = next((p for p in pixels if p.width >= width and p.height >= height), None)
        if source is None:
            image = _decode(original, width, height, strict=strict)
            pixels.append(image)
        else:
            image = fit(source, width, height)
        image = cut(image, size.extent)
        data = encode(image, job.output, size.quality)
        made[size.suffix] = (image.width, image.height, data)
    return pixels[0], [made[size.suffix] for size in job.sizes]


def _decode(original: _Original, width: int, height: int, *, strict: bool) -> pyvips.Image:
    """The original in memory: upright, in sRGB or grey, 8 bits, at width × height pixels."""
    found = original.header
    across, down = (height, width) if found.sideways else (width, height)
    image = _open(original, across, down, strict=strict)
    image = to_srgb(fit(image, across, down))
    if original.job.output is Format.JPG:
        image = flatten(image)
    return turn(image.copy_memory(), found.orientation)


def _open(original: _Original, across: int, down: int, *, strict: bool) -> pyvips.Image:
    """The original as its loader gives it, already as small as still leaves the resampler enough."""
    found, path = original.header, original.job.path
    fail_on = "warning" if strict else "none"
    if found.format is Format.SVG:
        scale = max(across / found.width, down / found.height)
        return load(path, found.format, scale=scale, fail_on=fail_on)
    if found.format is Format.JPG:
        needed_across, needed_down = across * _LEFT_TO_RESAMPLER, down * _LEFT_TO_RESAMPLER
        for shrink in _JPEG_SHRINKS:
            if found.width / shrink >= needed_across and found.height / shrink >= needed_down:
                return load(path, found.format, access="sequential", shrink=shrink, fail_on=fail_on)
    return load(path, found.format, access="sequential", fail_on=fail_on)
