"""Turning an original upright by its EXIF orientation. Runs in a decoding process."""

from dataclasses import dataclass

from common.errors import FailureClass, ImageError
from common.images.formats import Format
from common.imaging.png_chunks import with_colours_of
from common.imaging.probe import header
from common.sandbox.protocol import Job, Original, Result, operation, require_positive

# High, because the original is kept for ever, and is encoded again only here.
_QUALITY = 95

# Metadata that no longer holds after turning: the embedded preview would still lie on its side.
STALE_METADATA = ("jpeg-thumbnail-data", "exif-ifd0-Orientation", "orientation")


@dataclass(frozen=True)
class OneImage(Result):
    """A width and a height in pixels, and one blob: an image."""

    width: int
    height: int

    def __post_init__(self) -> None:
        """Raises ValueError for an image of no size."""
        require_positive(self.width, self.height)

    def blobs_for(self, job: Job) -> int:
        """One: the image."""
        del job
        return 1


@dataclass(frozen=True)
class Upright(OneImage):
    """The turned image, with its width and height."""


@operation
def orient(job: Job, original: Original) -> tuple[Upright, list[bytes]]:
    """The operation: one blob, the image turned upright, metadata kept, tag reset. Raises ImageError, pyvips.Error.

    Only JPEG and PNG carry an orientation; other formats are refused.
    """
    found, image = header(original, job.limits)
    if found.format not in (Format.JPG, Format.PNG):
        raise ImageError(FailureClass.UNSUPPORTED, f"{found.format} images carry no orientation")
    upright = image.copy_memory().autorot().copy()
    for name in STALE_METADATA:
        if upright.get_typeof(name):
            upright.remove(name)
    if found.format is Format.JPG:
        data = upright.jpegsave_buffer(Q=_QUALITY, keep="all")
    else:
        data = with_colours_of(original, upright.pngsave_buffer(compression=6, keep="all"))
    return Upright(width=upright.width, height=upright.height), [data]
