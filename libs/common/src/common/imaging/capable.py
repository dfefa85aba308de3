"""Which formats this build of libvips reads and writes, found by trying. Runs in a decoding process."""

from collections.abc import Callable
from dataclasses import dataclass

import pyvips

from common.images.formats import Format
from common.sandbox.protocol import Job, Original, Result, operation

_SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="4" height="4"><rect width="4" height="4" fill="red"/></svg>'
_SIDE = 4  # pixels


@dataclass(frozen=True)
class Capabilities(Result):
    """The formats that this build reads and writes."""

    reads: list[Format]
    writes: list[Format]


@operation
def capable(job: Job, original: Original) -> tuple[Capabilities, list[bytes]]:
    """The operation: write a few pixels in every format and read them back; of SVG, read one."""
    del job, original  # it needs no file
    image = pyvips.Image.black(_SIDE, _SIDE).linear([1] * 3, [200, 30, 30]).cast("uchar").copy(interpretation="srgb")
    writers: dict[Format, Callable[[], bytes]] = {
        Format.JPG: image.jpegsave_buffer,
        Format.PNG: image.pngsave_buffer,
        Format.GIF: image.gifsave_buffer,
        Format.WEBP: image.webpsave_buffer,
        Format.AVIF: lambda: bytes(image.heifsave_buffer(compression="av1", effort=0)),
    }
    written = {name: data for name, write in writers.items() if (data := _tried(write)) is not None}
    readers: dict[Format, Callable[[], bytes]] = {
        Format.JPG: lambda: pyvips.Image.jpegload_buffer(written[Format.JPG]).write_to_memory(),
        Format.PNG: lambda: pyvips.Image.pngload_buffer(written[Format.PNG]).write_to_memory(),
        Format.GIF: lambda: pyvips.Image.gifload_buffer(written[Format.GIF]).write_to_memory(),
        Format.SVG: lambda: pyvips.Image.svgload_buffer(_SVG).write_to_memory(),
    }
    reads = [name for name, read in readers.items() if _tried(read) is not None]
    return Capabilities(reads=reads, writes=list(written)), []


def _tried(work: Callable[[], bytes]) -> bytes | None:
    try:
        return bytes(work())
    except (pyvips.Error, KeyError):
        return None
