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


def from_grey(values: pyvips.Image) -> pyvips.Image:
    """Grey, 0 to 1, by the profile of `grey`, in sRGB's of 8 bits."""
    return light(values**GREY_GAMMA)


def from_p3(values: pyvips.Image) -> pyvips.Image:
    """Red, green and blue of Display P3, 0 to 1, in sRGB's of 8 bits; what sRGB cannot show is cut off."""
    return p3_light(_linear(values))


def by_p3_profile(values: pyvips.Image) -> pyvips.Image:
    """The same by the numbers in the profiles `p3` and `srgb`. Theirs are rounded, which shows in dark colours."""
    to_srgb = _to_xyz("srgb").matrixinvert().matrixmultiply(_to_xyz("p3"))
    return light(_linear(values).recomb(to_srgb))


def _to_xyz(name: str) -> pyvips.Image:
    """The matrix from light to XYZ in the tags of a profile of red, green and blue. https://www.color.org/icc32.pdf."""
    profile, columns = known(name), {}
    for index in range(int.from_bytes(profile[128:132])):
        tag, at, _ = struct.unpack_from(">4sII", profile, 132 + 12 * index)
        if tag in (b"rXYZ", b"gXYZ", b"bXYZ"):
            columns[tag] = [value / 65536 for value in struct.unpack_from(">iii", profile, at + 8)]
    rows = zip(columns[b"rXYZ"], columns[b"gXYZ"], columns[b"bXYZ"], strict=True)
    return pyvips.Image.new_from_array([list(row) for row in rows])


def _linear(values: pyvips.Image) -> pyvips.Image:
    """Light by sRGB's curve, which is Display P3's, too."""
    return (values <= 0.04045).ifthenelse(values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def p3_light(linear: pyvips.Image) -> pyvips.Image:
    """Light of P3's red, green and blue, 0 to 1, in sRGB of 8 bits.

    The matrix is that of https://www.w3.org/TR/css-color-4/#color-conversion-code, P3 to XYZ and then to sRGB.
    """
    rows = [1.2249402, -0.2249402, 0, -0.0420570, 1.0420570, 0, -0.0196376, -0.0786361, 1.0982736]
    return light(linear.recomb(pyvips.Image.new_from_array([rows[0:3], rows[3:6], rows[6:9]])))


def light(linear: pyvips.Image) -> pyvips.Image:
    """Light of sRGB's primaries, 0 to 1, by sRGB's curve, IEC 61966-2-1, in 8 bits."""
    linear = (linear < 0).ifthenelse(0, (linear > 1).ifthenelse(1, linear))
    curve = (linear <= 0.0031308).ifthenelse(linear * 12.92, linear ** (1 / 2.4) * 1.055 - 0.055)
    return (curve * 255).rint().cast("uchar")
