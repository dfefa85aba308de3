"""The operation that removes the location from an original. Runs in a decoding process."""

from dataclasses import dataclass

from common.errors import FailureClass, ImageError
from common.images.formats import Format
from common.imaging.location import gif, jpeg, png
from common.imaging.probe import header
from common.sandbox.protocol import Job, Original, Result, operation

_BY_FORMAT = {
    Format.JPG: jpeg.without_location,
    Format.PNG: png.without_location,
    Format.GIF: gif.without_location,
}


@dataclass(frozen=True)
class Stripped(Result):
    """Whether anything was removed."""

    changed: bool

    def blobs_for(self, job: Job) -> int:
        """The file, where it changed."""
        del job
        return int(self.changed)


@operation
def strip_location(job: Job, original: Original) -> tuple[Stripped, list[bytes]]:
    """The operation: one blob, the file without the location. No blob where there was nothing to remove.

    Raises ImageError for anything but JPEG, PNG and GIF, and pyvips.Error.
    """
    found, _ = header(original, job.limits)
    if found.format not in _BY_FORMAT:
        raise ImageError(FailureClass.UNSUPPORTED, "only from JPEG, PNG and GIF can the location be removed")
    data = original[:]
    stripped = _BY_FORMAT[found.format](data, found.orientation)
    return Stripped(changed=stripped != data), [] if stripped == data else [stripped]
