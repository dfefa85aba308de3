"""Rotating an original on request. Runs in a decoding process."""

from dataclasses import dataclass
from typing import Literal

import pyvips

from common.errors import FailureClass, ImageError
from common.images.formats import Format
from common.imaging.exif import OrientationNotWritable, set_orientation
from common.imaging.exif_orientations import orientation_after_rotation
from common.imaging.orient import STALE_METADATA, OneImage
from common.imaging.png_chunks import with_colours_of
from common.imaging.probe import Header, header, load
from common.sandbox.protocol import Job, Original, operation

Rotation = Literal[90, -90, 180]  # degrees, clockwise

_QUALITY = 95
_ANGLES = {90: "d90", 180: "d180", 270: "d270"}


@dataclass(frozen=True)
class RotateJob(Job):
    """How far to rotate."""

    rotation: Rotation


@dataclass(frozen=True)
class Rotated(OneImage):
    """The rotated image, with the upright image's width and height before the rotation."""


@operation
def rotate(job: RotateJob, original: Original) -> tuple[Rotated, list[bytes]]:
    """The operation: one blob, the rotated image with its metadata. Raises ImageError, pyvips.Error.

    A JPEG's pixels stay as they are, and its EXIF orientation changes. A PNG keeps the value of every pixel, and the
    chunks that say what its colours are.
    """
    found, _ = header(original, job.limits)
    shown = Rotated(width=found.upright_width, height=found.upright_height)
    if found.format is Format.SVG:
        raise ImageError(FailureClass.UNSUPPORTED, "an SVG cannot be rotated")
    if found.format is Format.JPG:
        try:
            return shown, [set_orientation(original[:], orientation_after_rotation(found.orientation, job.rotation))]
        except OrientationNotWritable:
            pass  # the pixels have to be rotated
    return shown, [_rotate_pixels(original, found, _ANGLES[job.rotation % 360])]


def _rotate_pixels(original: Original, found: Header, angle: str) -> bytes:
    if found.format is Format.GIF:
        return _rotate_frames(original, found, angle)
    image = load(original, found.format).copy_memory().autorot().rot(angle).copy()
    for name in STALE_METADATA:
        if image.get_typeof(name):
            image.remove(name)
    if found.format is Format.JPG:
        return bytes(image.jpegsave_buffer(Q=_QUALITY, keep="all"))
    return with_colours_of(original, image.pngsave_buffer(compression=6, keep="all"))


def _rotate_frames(original: Original, found: Header, angle: str) -> bytes:
    strip = load(original, Format.GIF, n=-1).copy_memory()
    frames = [
        strip.crop(0, index * found.height, found.width, found.height).rot(angle) for index in range(found.frames)
    ]
    joined = pyvips.Image.arrayjoin(frames, across=1).copy()
    joined.set_type(pyvips.GValue.gint_type, "page-height", frames[0].height)
    return bytes(joined.gifsave_buffer(effort=7, dither=0, keep_duplicate_frames=True, keep="all"))
