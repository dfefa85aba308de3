"""Reading an image's header: format, dimensions, frames and orientation. Runs in a decoding process."""

import math
import re
from dataclasses import dataclass

import pyvips

from common.errors import FailureClass, ImageError
from common.images.formats import Format
from common.imaging import gif
from common.imaging.exif_orientations import SIDEWAYS, TURNS, UPRIGHT
from common.sandbox.protocol import Job, Limits, Original, Result, operation, require_positive

SNIFF_BYTES = 4096
_SVG_START = re.compile(r"\s*<(\?xml|!--|!DOCTYPE\s+([\w-]+:)?svg|([\w-]+:)?svg[\s/>])")
_HEAVY = 16_000_000  # pixels, some 60 MB of memory; other images are decoded a few lines at a time
_MAX_SVG = 16 << 20  # bytes; an SVG is read into memory


@dataclass(frozen=True)
class Header(Result):
    """The header. `width` and `height` are pixels as stored, `orientation` is EXIF's, 1 to 8."""

    format: Format
    width: int
    height: int
    frames: int
    orientation: int
    interlaced: bool

    def __post_init__(self) -> None:
        """Raises ValueError for a header that no image has."""
        require_positive(self.width, self.height, self.frames)
        if self.orientation not in TURNS:
            raise ValueError(f"orientation {self.orientation}")

    @property
    def is_heavy(self) -> bool:
        """Whether it is progressive or interlaced and has many pixels: it is decoded as a whole, in much memory."""
        return self.interlaced and self.width * self.height * self.frames > _HEAVY

    @property
    def is_sideways(self) -> bool:
        """Whether the upright image is as wide as the stored one is high."""
        return self.orientation in SIDEWAYS

    @property
    def upright_width(self) -> int:
        """The width of the upright image, in pixels."""
        return self.height if self.is_sideways else self.width

    @property
    def upright_height(self) -> int:
        """The height of the upright image, in pixels."""
        return self.width if self.is_sideways else self.height


def sniff(head: bytes) -> Format:
    """The format that the first bytes announce. Looks at SNIFF_BYTES at most, and decodes nothing.

    Raises ImageError for none that is accepted.
    """
    if head.startswith(b"\xff\xd8\xff"):
        return Format.JPG
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return Format.PNG
    if head.startswith((b"GIF87a", b"GIF89a")):
        return Format.GIF
    if _is_svg(head[:SNIFF_BYTES]):
        return Format.SVG
    raise ImageError(FailureClass.UNSUPPORTED, "it is not a JPEG, PNG, GIF or SVG image")


def _is_svg(head: bytes) -> bool:
    """Whether it begins like an SVG. It may still be none, which its loader will tell."""
    utf16 = head.startswith((b"\xff\xfe", b"\xfe\xff"))
    text = head.decode("utf-16" if utf16 else "utf-8-sig", errors="ignore")
    return _SVG_START.match(text) is not None


def load(original: Original, image_format: Format, **options: object) -> pyvips.Image:
    """Open the image with its own format's loader and no other. `original` has to stay for as long as the image.

    Raises pyvips.Error, ImageError.
    """
    if image_format is Format.SVG:
        if len(original) > _MAX_SVG:
            raise ImageError(FailureClass.TOO_LARGE, f"an SVG may have {_MAX_SVG >> 20} MiB at most")
        # From a buffer only: with a file name, an SVG can draw in its neighbours and include other files.
        return pyvips.Image.svgload_buffer(original[:], **options)
    if image_format is Format.GIF:
        return gif.load(original, every=options.pop("n", 1) == -1, **options)
    loader = {Format.JPG: "jpegload_source", Format.PNG: "pngload_source"}[image_format]
    # From a source, libvips reads the mapped file itself; for the loaders of buffers, pyvips copies it first.
    return pyvips.Operation.call(loader, pyvips.Source.new_from_memory(original), **options)


def header(original: Original, limits: Limits) -> tuple[Header, pyvips.Image]:
    """The image's header and the lazily opened image, a GIF with its first frame. Raises ImageError where refused."""
    found = sniff(original[:SNIFF_BYTES])
    image = load(original, found, access="sequential")
    frames = image.get("n-pages") if image.get_typeof("n-pages") else 1
    _check(image.width, image.height, frames, limits)
    orientation = image.get("orientation") if image.get_typeof("orientation") else UPRIGHT
    if orientation not in TURNS:
        orientation = UPRIGHT
    return Header(
        format=found,
        width=image.width,
        height=image.height,
        frames=frames,
        orientation=orientation,
        interlaced=bool(image.get_typeof("interlaced") and image.get("interlaced")),
    ), image


def _check(width: int, height: int, frames: int, limits: Limits) -> None:
    if width * height * frames > limits.pixels:
        size = " × ".join(f"{n:,}" for n in ((width, height, frames) if frames > 1 else (width, height)))
        what = "pixels and frames" if frames > 1 else "pixels"
        most = math.floor(limits.pixels / 1e4) / 100
        raise ImageError(FailureClass.TOO_LARGE, f"it has {size} {what}; {most:,g} megapixels are the most")


@operation
def probe(job: Job, original: Original) -> tuple[Header, list[bytes]]:
    """The operation: the header. No pixel is decoded."""
    return header(original, job.limits)[0], []
