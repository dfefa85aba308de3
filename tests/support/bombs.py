"""A hostile set: files made to crash, hang, inflate or deceive a decoder. All made here, from a seed."""

import gzip
import random
import struct
import zlib
from collections.abc import Iterable, Iterator

import pyvips
from tests.support.pictures import SVG, animated_gif, opened, photo, png_header, still_gif, transparent_png

_NAMESPACE = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'


def seeds() -> dict[str, bytes]:
    """Small images of every accepted kind, to be damaged."""
    image = opened(photo(320, 240))
    deep = (image.cast("ushort") * 257).cast("ushort").copy(interpretation="rgb16")
    return {
        "baseline.jpg": photo(320, 240),
        "progressive.jpg": image.jpegsave_buffer(interlace=True),
        "grey.jpg": image.colourspace("b-w").jpegsave_buffer(),
        "cmyk.jpg": image.icc_transform("cmyk", input_profile="srgb").jpegsave_buffer(),
        "alpha.png": transparent_png(320, 240),
        "interlaced.png": image.pngsave_buffer(interlace=True),
        "palette.png": image.pngsave_buffer(palette=True),
        "deep.png": deep.pngsave_buffer(bitdepth=16),
        "still.gif": still_gif(320, 240),
        "animated.gif": animated_gif(160, 120),
        "plain.svg": SVG,
    }


def hostile(seed: int, flips: int, cuts: Iterable[int] = range(1, 10)) -> Iterator[tuple[str, bytes]]:
    """Named files: bombs, tricks, of each seed image so many tenths, and `flips` damaged versions of each."""
    yield from _bombs()
    yield from _tricks()
    chance = random.Random(seed)
    for name, data in seeds().items():
        for tenth in cuts:
            yield f"cut-{tenth}-{name}", data[: len(data) * tenth // 10]
        for number in range(flips):
            yield f"flip-{number}-{name}", _flipped(data, chance)


def _flipped(data: bytes, chance: random.Random) -> bytes:
    damaged = bytearray(data)
    for _ in range(chance.choice((1, 3, 10, 50))):
        # Headers are short and matter most, so half of the damage is done there.
        reach = len(damaged) if chance.random() < 0.5 else min(len(damaged), 400)
        damaged[chance.randrange(4, reach)] ^= 1 << chance.randrange(8)
    return bytes(damaged)


def _bombs() -> Iterator[tuple[str, bytes]]:
    yield "huge.png", png_header(60_000, 60_000)
    yield "wide.png", png_header(100_001, 1000)
    yield "endless-header.png", png_header(2**31 - 1, 2**31 - 1)
    yield "inflating.png", _inflating_png(9000, 9000)
    yield "huge.jpg", _jpeg_of(65_500, 65_500)
    yield "many-scans.jpg", _many_scans()
    yield "huge.gif", b"GIF89a" + struct.pack("<HHBBB", 65_535, 65_535, 0, 0, 0) + still_gif(64, 64)[13:]
    yield "many-frames.gif", _many_frames(20_000)
    yield "huge.svg", f'<svg {_NAMESPACE} width="1e9" height="1e9"/>'.encode()
    yield "tall.svg", f'<svg {_NAMESPACE} viewBox="0 0 1 1e30" width="1" height="99999"/>'.encode()
    yield "use.svg", _use_bomb(12)
    yield "nested.svg", f"<svg {_NAMESPACE} width='9' height='9'>{'<g>' * 50_000}</svg>".encode()
    yield "filter.svg", _filters()
    yield "pattern.svg", _patterns()
    yield "entities.svg", _entities()
    yield "compressed.svgz", gzip.compress(b"<svg " + b" " * 50_000_000 + b"/>")


def _tricks() -> Iterator[tuple[str, bytes]]:
    for target in ("/etc/passwd", "file:///etc/passwd", "../../etc/hostname", "http://127.0.0.1:9/x.png", "data:,x"):
        for body in (
            f'<image xlink:href="{target}" width="9" height="9"/>',
            f'<style>@import url("{target}");</style>',
            f'<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="{target}" parse="text"/>',
            f'<use xlink:href="{target}#x"/>',
        ):
            yield f"reference-{target}.svg", f'<svg {_NAMESPACE} width="9" height="9">{body}</svg>'.encode()
        doctype = f'<!DOCTYPE svg [<!ENTITY e SYSTEM "{target}">]>'
        yield f"entity-{target}.svg", f'{doctype}<svg {_NAMESPACE} width="9" height="9"><text>&e;</text></svg>'.encode()
    jpg, png, gif = photo(64, 48), transparent_png(64, 48), still_gif(64, 48)
    yield "polyglot.jpg", jpg + png + gif + SVG + b"PK\x03\x04"
    yield "zip-and-gif", gif + b"PK\x05\x06" + bytes(18)
    yield "script.svg", f'<svg {_NAMESPACE} width="9" height="9"><script>while(1);</script></svg>'.encode()
    yield "pdf", b"%PDF-1.7\n" + bytes(500)
    yield "tiff", b"II*\x00" + bytes(500)
    yield "webp", pyvips.Image.black(8, 8).webpsave_buffer()
    yield "magick", b"push graphic-context\nviewbox 0 0 9 9\nimage over 0,0 0,0 'https://x'\npop graphic-context"
    yield "jpeg-then-zeros", b"\xff\xd8\xff" + bytes(100_000)
    yield "png-then-noise", b"\x89PNG\r\n\x1a\n" + random.Random(3).randbytes(50_000)
    yield "gif-then-noise", b"GIF89a" + random.Random(4).randbytes(50_000)
    yield "zeros", bytes(100_000)
    yield "one-byte", b"\xff"


def _inflating_png(width: int, height: int) -> bytes:
    """Some 80 KB that become 240 MB of pixels, inside the limit of pixels."""
    head = png_header(width, height)
    rows = zlib.compress(bytes((width * 3 + 1) * height), 9)
    chunk = struct.pack(">I", len(rows)) + b"IDAT" + rows + struct.pack(">I", zlib.crc32(b"IDAT" + rows))
    return head[:33] + chunk + head[-12:]


def _jpeg_of(width: int, height: int) -> bytes:
    data = bytearray(photo(64, 48))
    start = data.index(b"\xff\xc0")
    data[start + 5 : start + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def _many_scans() -> bytes:
    """A progressive JPEG whose last scan is there two thousand times."""
    data = opened(photo(640, 480)).jpegsave_buffer(interlace=True)
    last = data.rindex(b"\xff\xda")
    return bytes(data[:last] + data[last:-2] * 2000 + b"\xff\xd9")


def _many_frames(count: int) -> bytes:
    frame = b"!\xf9\x04\x00\x01\x00\x00\x00" + b",\0\0\0\0\x01\0\x01\0\0" + b"\x02\x02D\x01\x00"
    screen = b"GIF89a" + struct.pack("<HHBBB", 400, 400, 0x80, 0, 0) + bytes(3) + b"\xff\xff\xff"
    return screen + frame * count + b";"


def _use_bomb(levels: int) -> bytes:
    groups = "".join(
        f'<g id="g{level}">' + f'<use xlink:href="#g{level - 1}"/>' * 10 + "</g>" for level in range(1, levels)
    )
    body = f'<defs><g id="g0"><rect width="9" height="9"/></g>{groups}</defs><use xlink:href="#g{levels - 1}"/>'
    return f'<svg {_NAMESPACE} width="99" height="99">{body}</svg>'.encode()


def _filters() -> bytes:
    blurs = '<feGaussianBlur stdDeviation="500"/>' * 200
    body = (
        f'<filter id="f" width="9999" height="9999">{blurs}</filter><rect width="3000" height="3000" filter="url(#f)"/>'
    )
    return f'<svg {_NAMESPACE} width="3000" height="3000">{body}</svg>'.encode()


def _patterns() -> bytes:
    patterns = "".join(
        f'<pattern id="p{n}" width=".01" height=".01"><rect width="99" height="99" fill="url(#p{n - 1})"/></pattern>'
        for n in range(1, 8)
    )
    body = f'<defs>{patterns}</defs><rect width="900" height="900" fill="url(#p7)"/>'
    return f'<svg {_NAMESPACE} width="900" height="900">{body}</svg>'.encode()


def _entities() -> bytes:
    entities = '<!ENTITY e0 "xxxxxxxxxx">' + "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    return f"<!DOCTYPE svg [{entities}]><svg {_NAMESPACE} width='9' height='9'><text>&e9;</text></svg>".encode()
