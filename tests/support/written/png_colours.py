"""What the chunks of a PNG can say of its colours. https://www.w3.org/TR/png-3/, 11.3.2."""

import struct

from tests.support.written.png import Chunk

SRGB, CICP, CICP_P3, HDR = (
    (b"sRGB", b"\0"),
    *((b"cICP", bytes(code)) for code in ((1, 13, 0, 1), (12, 13, 0, 1), (9, 16, 0, 1))),
)
GAMMA, LINEAR, MAC = ((b"gAMA", struct.pack(">I", value)) for value in (45_455, 100_000, 55_556))
PRIMARIES, P3 = (
    (b"cHRM", struct.pack(">8I", 31_270, 32_900, *values))
    for values in ((64_000, 33_000, 30_000, 60_000, 15_000, 6_000), (68_000, 32_000, 26_500, 69_000, 15_000, 6_000))
)
COLOURS: dict[str, tuple[Chunk, ...]] = {
    "none": (),
    "srgb": (SRGB,),
    "gamma": (GAMMA,),
    "primaries": (PRIMARIES,),
    "cicp": (CICP,),
    "all": (CICP, SRGB, GAMMA, PRIMARIES),
    "linear": (LINEAR,),
    "mac": (MAC,),
    "p3": (GAMMA, P3),
    "mac p3": (MAC, P3),
    "cicp p3": (CICP_P3,),
    "hdr": (HDR,),  # stays as it is
    "srgb counts": (SRGB, LINEAR, P3),
    "cicp counts": (CICP_P3, SRGB, LINEAR, PRIMARIES),
}
