"""The stand-in for decoding processes in an exploration: every image is a JPEG of 100 x 100 pixels."""

from pathlib import Path
from typing import Any

from tests.support.instant_pool import InstantPool

from common.images.formats import Format
from common.imaging.probe import Header
from common.imaging.rotate import Rotated

ORIGINAL = b"\xff\xd8\xff original"
_HEADER = Header(format=Format.JPG, width=100, height=100, frames=1, orientation=1, interlaced=False)


class SmallPool(InstantPool):
    """Also reads headers and rotates, in no time."""

    async def run(
        self, operation: object, job: Any, result: object, path: Path, **options: object
    ) -> tuple[Any, list[bytes]]:
        if result is Header:
            return _HEADER, []
        if result is Rotated:
            return Rotated(width=100, height=100), [ORIGINAL + b" rotated"]
        return await super().run(operation, job, result, path, **options)
