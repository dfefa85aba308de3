"""Animated GIFs: every frame whole, its delay and the loop count kept."""

from pathlib import Path

import pyvips

from common.images.names import Format
from common.images.sizes import Size
from common.imaging.probe import Header, load
from resizer.operations.pixels import cut, fit

_XMP = b"XMP DataXMP"  # the application block that carries metadata


def animate(
    path: Path, header: Header, sizes: tuple[Size, ...], *, strict: bool
) -> tuple[pyvips.Image, list[tuple[int, int, bytes]]]:
    """The first frame, and each variant's width, height and bytes in the order of the sizes."""
    fail_on = "warning" if strict else "none"
    first = load(path, Format.GIF, fail_on=fail_on).copy_memory()
    return first, [_variant(path, header, size, fail_on) for size in sizes]


def _variant(path: Path, header: Header, size: Size, fail_on: str) -> tuple[int, int, bytes]:
    width, height = size.scaled(header.width, header.height)
    if (width, height) == (header.width, header.height) and size.extent in (None, (width, height)):
        original = path.read_bytes()
        if _XMP not in original:
            return width, height, original  # its palette and its compression cannot get better
    strip = load(path, Format.GIF, n=-1, access="sequential", fail_on=fail_on)
    frames = [
        cut(fit(strip.crop(0, index * header.height, header.width, header.height), width, height), size.extent)
        for index in range(header.frames)
    ]
    joined = pyvips.Image.arrayjoin(frames, across=1).copy()
    joined.set_type(pyvips.GValue.gint_type, "page-height", frames[0].height)
    for name in ("delay", "loop"):
        if strip.get_typeof(name):
            joined.set_type(strip.get_typeof(name), name, strip.get(name))
    # The frames' timing is metadata to libvips, so it has to be kept; the file's own was left at the door.
    data = joined.gifsave_buffer(effort=1)
    return frames[0].width, frames[0].height, bytes(data)
