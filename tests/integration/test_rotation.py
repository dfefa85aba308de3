"""Rotating an original: every pixel keeps its value, and what the camera wrote stays."""

from pathlib import Path

import pytest
import pyvips
from tests.support.pictures import DELAYS, SVG, animated_gif, dimensions, opened, photo, transparent_png
from tests.support.variants import Configuration, made
from tests.support.written import png
from tests.support.written.png_colours import COLOURS, HDR
from tests.support.written.profiles import grey, known

from common.errors import ImageError
from common.images.formats import Format
from common.imaging.orient import orient
from common.imaging.rotate import Rotated, RotateJob, Rotation, rotate
from common.sandbox.pool import Pool
from common.sandbox.protocol import Job, Limits

FULL_SIZE: Configuration = {"BI": ["-resize", "1500x1500>"]}
# EXIF's orientation 6, to be turned by 90 degrees.
SIDEWAYS = (b"eXIf", b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0")
ANGLES = {90: "d90", 180: "d180", -90: "d270"}


def rotated(data: bytes, rotation: Rotation, folder: Path) -> bytes:
    path = folder / "original"
    path.write_bytes(data)
    _, (turned,) = rotate(RotateJob(limits=Limits(), rotation=rotation), path.read_bytes())
    return turned


def same(one: pyvips.Image, other: pyvips.Image) -> bool:
    return (one.width, one.height) == (other.width, other.height) and (one - other).abs().max() == 0


@pytest.mark.parametrize("rotation", [90, -90, 180])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_jpeg_is_shown_turned_and_its_pixels_are_not_touched(
    orientation: int, rotation: Rotation, tmp_path: Path
) -> None:
    data = photo(322, 201, orientation)
    turned = rotated(data, rotation, tmp_path)
    assert same(opened(turned).autorot(), opened(data).autorot().rot(ANGLES[rotation]))
    assert same(opened(turned), opened(data)), "as it is stored"
    assert opened(turned).get("exif-ifd0-Model").startswith("Camera of the tests")
    back = rotated(turned, {90: -90, -90: 90, 180: 180}[rotation], tmp_path)  # type: ignore[arg-type]
    assert back == data


@pytest.mark.parametrize("keep", ["none", "exif"])
def test_a_jpeg_without_the_tag_gets_one(keep: str, tmp_path: Path) -> None:
    image = opened(photo(322, 201)).copy()
    image.remove("orientation")
    image.remove("exif-ifd0-Orientation")
    data = image.jpegsave_buffer(Q=90, keep=keep)
    turned = rotated(data, 90, tmp_path)
    assert same(opened(turned).autorot(), opened(data).rot("d90"))
    assert same(opened(turned), opened(data))
    if keep == "exif":
        assert opened(turned).get("exif-ifd0-Model").startswith("Camera of the tests")


@pytest.mark.parametrize("length", [0, 3, 8, 15, 40])
def test_a_jpeg_with_broken_metadata_is_turned_all_the_same(length: int, tmp_path: Path) -> None:
    plain = opened(photo(322, 201)).jpegsave_buffer(Q=90, keep="none")
    exif = b"Exif\0\0" + (b"II*\0\x08\0\0\0\xff\xff" + b"\x12\x01" * 20)[:length]
    data = plain[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + plain[2:]
    turned = opened(rotated(data, 90, tmp_path)).autorot()
    assert (turned.width, turned.height) == (201, 322)
    assert (turned.cast("short") - opened(plain).rot("d90").cast("short")).abs().avg() < 2


@pytest.mark.parametrize("rotation", [90, -90, 180])
def test_png_and_gif_keep_every_pixel(rotation: Rotation, tmp_path: Path) -> None:
    still = transparent_png(90, 60)
    assert same(opened(rotated(still, rotation, tmp_path)), opened(still).rot(ANGLES[rotation]))
    gif = animated_gif(60, 45)
    turned = opened(rotated(gif, rotation, tmp_path))
    assert turned.get("delay") == DELAYS
    assert turned.get("loop") == 0
    height = turned.get("page-height")
    for frame in range(4):
        before = opened(gif).crop(0, 45 * frame, 60, 45).rot(ANGLES[rotation])
        after = turned.crop(0, height * frame, turned.width, height)
        assert same(after.extract_band(0, n=3), before.extract_band(0, n=3))


@pytest.mark.parametrize("profile", ["none", "p3", "grey"])
def test_a_turned_png_is_shown_in_the_colours_that_its_chunks_name(profile: str, tmp_path: Path) -> None:
    """Rotated on request, or turned upright at the upload. An unusable profile hides gAMA, too."""
    profiles = {"none": [], "p3": [png.profile_chunk(known("p3"))], "grey": [png.profile_chunk(grey())]}[profile]
    for name, colours in COLOURS.items():
        data = coloured(*profiles, *colours)
        shown = made(data, Format.PNG, FULL_SIZE)["BI"]
        turned = rotated(data, 90, tmp_path)
        assert same(made(turned, Format.PNG, FULL_SIZE)["BI"], shown.rot("d90")), name
        _, (upright,) = orient(Job(limits=Limits()), coloured(*profiles, *colours, SIDEWAYS))
        assert same(made(upright, Format.PNG, FULL_SIZE)["BI"], shown.rot("d90")), name


def test_a_turned_png_keeps_what_its_chunks_say_of_hdr(tmp_path: Path) -> None:
    chunks = [HDR, (b"mDCV", bytes(range(24))), (b"cLLI", bytes(range(8)))]
    turned = rotated(coloured(*chunks), 90, tmp_path)
    assert all(kind + data in turned for kind, data in chunks)


def coloured(*chunks: png.Chunk) -> bytes:
    """A PNG of 9 × 6 different colours."""
    values = pyvips.Image.xyz(9, 6)
    return png.write((values[0] * 30).bandjoin([values[1] * 50, values[0] * 7 + 180]), png.RGB, 8, chunks=chunks)


async def test_a_decoding_process_can_do_it(tmp_path: Path) -> None:
    """Under its limits: it writes no file, however it has to read the image."""
    turned_exif = photo(322, 201)[:2] + b"\xff\xe1\x00\x0aExif\0\0II" + photo(322, 201)[2:]
    async with Pool.open(1, Limits(memory_mb=512)) as pool:
        for data in (photo(322, 201), turned_exif, transparent_png(322, 201), animated_gif(322, 201)):
            path = tmp_path / "original"
            path.write_bytes(data)
            job = RotateJob(limits=pool.limits, rotation=90)
            shown, (turned,) = await pool.run(rotate, job, Rotated, path)
            assert (shown.width, shown.height) == (322, 201)
            assert dimensions(opened(turned).autorot().pngsave_buffer())[0] == 201


def test_an_svg_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="SVG"):
        rotated(SVG, 90, tmp_path)
