"""Pictures for the tests, made anew: no file from anywhere, and nothing that cannot be explained."""

import struct
import zlib
from functools import cache

import pyvips

SVG = (
    b'<svg xmlns="http://www.w3.org/2000/svg" width="640" height="480">'
    b'<circle cx="320" cy="240" r="200" fill="#c03020"/></svg>'
)
DELAYS = [100, 200, 300, 50]  # milliseconds


@cache
def photo(width: int = 4000, height: int = 3000, orientation: int = 1) -> bytes:
    """A JPEG with the texture of a photo; the top left corner is red, as stored. `orientation` is EXIF's."""
    data: bytes = _marked(width, height, orientation).jpegsave_buffer(Q=90)
    return data


def _marked(width: int, height: int, orientation: int) -> pyvips.Image:
    corner = max(1, width // 4), max(1, height // 4)
    image = _texture(width, height).draw_rect([255, 0, 0], 0, 0, *corner, fill=True).copy()
    image.set_type(pyvips.GValue.gint_type, "orientation", orientation)
    image.set_type(
        pyvips.GValue.gstr_type, "exif-ifd0-Model", "Camera of the tests (x, ASCII, 20 components, 20 bytes)"
    )
    return image


def _texture(width: int, height: int) -> pyvips.Image:
    waves = pyvips.Image.perlin(width, height, cell_size=256, seed=1).linear([60], [128])
    grain = pyvips.Image.gaussnoise(width, height, mean=0, sigma=12, seed=2)
    bands = [(waves * weight + grain + offset) for weight, offset in ((1, 0), (0.7, 30), (0.5, 50))]
    return bands[0].bandjoin(bands[1:]).cast("uchar").copy(interpretation="srgb")


@cache
def transparent_png(width: int = 900, height: int = 600) -> bytes:
    """A PNG whose corners are transparent."""
    disc = pyvips.Image.black(width, height).draw_circle(255, width // 2, height // 2, height // 2, fill=True)
    data: bytes = _texture(width, height).bandjoin(disc).pngsave_buffer(compression=1)
    return data


@cache
def animated_gif(width: int = 600, height: int = 450) -> bytes:
    """An animated GIF of four frames with the delays DELAYS, for ever; each frame has a colour of its own."""
    colours = ([200, 30, 30], [30, 200, 30], [30, 30, 200], [200, 200, 30])
    frames = [(pyvips.Image.black(width, height) + colour).cast("uchar") for colour in colours]
    strip = pyvips.Image.arrayjoin(frames, across=1).copy(interpretation="srgb")
    strip.set_type(pyvips.GValue.gint_type, "page-height", height)
    strip.set_type(pyvips.GValue.array_int_type, "delay", DELAYS)
    strip.set_type(pyvips.GValue.gint_type, "loop", 0)
    data: bytes = strip.gifsave_buffer()
    return data


@cache
def still_gif(width: int = 640, height: int = 480) -> bytes:
    """A GIF of one frame."""
    data: bytes = _texture(width, height).gifsave_buffer(effort=1)
    return data


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims these dimensions and has next to no pixels: about a hundred bytes."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", zlib.compress(b"\0")) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def opened(data: bytes) -> pyvips.Image:
    """The picture in memory, all its frames."""
    animated = data.startswith(b"GIF8")
    image = pyvips.Image.new_from_buffer(data, "n=-1" if animated else "")
    return image.copy_memory()


def dimensions(data: bytes) -> tuple[int, int]:
    """Width and height in pixels, of one frame."""
    image = opened(data)
    return image.width, image.get("page-height") if image.get_typeof("page-height") else image.height
