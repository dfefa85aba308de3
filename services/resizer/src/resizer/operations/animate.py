"""Animated GIFs: every frame whole, its delay and the loop count kept, in the formats that have frames."""

from functools import partial

import pyvips

from common.images.formats import Format, Output
from common.images.sizes import Size
from common.imaging.probe import Header, load
from common.sandbox.protocol import Original
from resizer.operations.encode import Encoded, encode, gif_options
from resizer.operations.gif import without_metadata
from resizer.operations.pixels import apply_steps, changes_nothing, fit, flatten, resamples
from resizer.operations.timing import Timing

_PREVIEW = 256  # pixels of the longer side of what the placeholder is made from


def animation_preview(data: Original, header: Header, *, strict: bool) -> pyvips.Image:
    """The first frame made small, in memory. Raises pyvips.Error."""
    opened = load(data, Format.GIF, access="sequential", fail_on=_fail_on(strict=strict))
    scale = min(1, _PREVIEW / max(header.width, header.height))
    return fit(opened, max(1, round(header.width * scale)), max(1, round(header.height * scale))).copy_memory()


def animate(
    data: Original, header: Header, size: Size, outputs: list[Output], timing: Timing, *, strict: bool
) -> list[Encoded]:
    """The size in each of the outputs: animated in GIF and WebP, else the first frame. Raises pyvips.Error, Defect."""
    fail_on, made = _fail_on(strict=strict), []
    for output in outputs:
        variant, period = timing.timed(partial(_variant, data, header, size, output, fail_on))
        made.append(Encoded(*variant, period))
    return made


def _fail_on(*, strict: bool) -> str:
    return "warning" if strict else "none"


def _variant(data: Original, header: Header, size: Size, output: Output, fail_on: str) -> tuple[int, int, bytes]:
    if output.format not in (Format.GIF, Format.WEBP):
        # A single picture: AVIF's encoder writes no more, and a GIF that is called .jpg or .png gets what it is called.
        still = apply_steps(load(data, Format.GIF, access="sequential", fail_on=fail_on), size.steps)
        still = flatten(still) if output.format is Format.JPG else still
        return still.width, still.height, encode(still, output, size)
    strip = load(data, Format.GIF, n=-1, access="sequential", fail_on=fail_on)
    if output.format is Format.GIF and changes_nothing(size.steps, header.width, header.height, alpha=strip.hasalpha()):
        same = without_metadata(data[:], header.width, header.height)
        if same is not None:
            return header.width, header.height, same  # encoding again could only lose
    frames = [
        apply_steps(strip.crop(0, index * header.height, header.width, header.height), size.steps)
        for index in range(header.frames)
    ]
    joined = pyvips.Image.arrayjoin(frames, across=1).copy()
    joined.set_type(pyvips.GValue.gint_type, "page-height", frames[0].height)
    for name in ("delay", "loop"):
        if strip.get_typeof(name):
            joined.set_type(strip.get_typeof(name), name, strip.get(name))
    # For libvips, the timing of frames is metadata of the kind "other".
    if output.format is Format.WEBP:
        encoded = joined.webpsave_buffer(Q=output.quality, effort=output.effort, keep="other")
    else:
        exact = not resamples(size.steps, header.width, header.height)
        encoded = joined.gifsave_buffer(**gif_options(exact=exact), keep_duplicate_frames=True, keep="other")
    return frames[0].width, frames[0].height, bytes(encoded)
