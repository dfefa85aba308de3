"""ICC profiles: those that the library brings along, and one of grey that is written here."""

import struct
from functools import cache

import pyvips

GREY_GAMMA = 1.8


@cache
def known(name: str) -> bytes:
    """`srgb`, `p3` or `cmyk`."""
    return bytes(pyvips.Operation.call("profile_load", name))


@cache
def grey() -> bytes:
    """A grey profile with the gamma GREY_GAMMA. https://www.color.org/icc32.pdf, 6.1 and 6.5."""
    text = b"grey"
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", len(text) + 1) + text + bytes(1 + 8 + 3 + 67),
        b"cprt": b"text" + bytes(4) + b"none\0",
        b"wtpt": b"XYZ " + bytes(4) + struct.pack(">iii", 63190, 65536, 54061),
        b"kTRC": b"curv" + bytes(4) + struct.pack(">IH", 1, round(GREY_GAMMA * 256)),
    }
    at = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += name + struct.pack(">II", at + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    illuminant = struct.pack(">iii", 63190, 65536, 54061)
    head = bytes(8) + struct.pack(">I", 0x02200000) + b"mntrGRAYXYZ " + bytes(12) + b"acsp" + bytes(28) + illuminant
    head = head.ljust(128, b"\0") + table + body
    return struct.pack(">I", len(head)) + head[4:]


def from_grey(image: pyvips.Image) -> pyvips.Image:
    """Grey of 8 bits by the profile of `grey`, in sRGB's."""
    return _coded((image / 255) ** GREY_GAMMA)


def from_p3(image: pyvips.Image) -> pyvips.Image:
    """Red, green and blue of 8 bits in Display P3, in sRGB's; what sRGB cannot show is cut off.

    The matrix is that of https://www.w3.org/TR/css-color-4/#color-conversion-code, P3 to XYZ and then to sRGB.
    """
    value = image / 255
    linear = (value <= 0.04045).ifthenelse(value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    rows = [1.2249402, -0.2249402, 0, -0.0420570, 1.0420570, 0, -0.0196376, -0.0786361, 1.0982736]
    return _coded(linear.recomb(pyvips.Image.new_from_array([rows[0:3], rows[3:6], rows[6:9]])))


def _coded(linear: pyvips.Image) -> pyvips.Image:
    """By sRGB's curve, IEC 61966-2-1, in 8 bits."""
    linear = (linear < 0).ifthenelse(0, (linear > 1).ifthenelse(1, linear))
    curve = (linear <= 0.0031308).ifthenelse(linear * 12.92, linear ** (1 / 2.4) * 1.055 - 0.055)
    return (curve * 255).rint().cast("uchar")
