"""STRIP_LOCATION: nothing says any more where a photo was taken, and all else is as it was."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import pyvips
from tests.support import located
from tests.support.exiftool import locations, others, tags, written
from tests.support.imagemagick import PROGRAMS
from tests.support.located import IN_XMP, PLACE, ByteOrder
from tests.support.pictures import animated_gif, opened, photo, still_gif, transparent_png

from common.imaging.location import strip_location
from common.imaging.probe import header
from common.imaging.rotate import RotateJob, rotate
from common.sandbox.protocol import Job, Limits

PICTURES: dict[str, Callable[[], bytes]] = {
    "jpeg": lambda: photo(322, 201),
    "progressive jpeg": lambda: bytes(opened(photo(322, 201)).jpegsave_buffer(interlace=True, restart_interval=2)),
    "jpeg without metadata": lambda: bytes(opened(photo(322, 201)).jpegsave_buffer(keep="none")),
    "png": lambda: transparent_png(90, 60),
    "interlaced png": lambda: bytes(opened(transparent_png(90, 60)).pngsave_buffer(interlace=True)),
    "gif": lambda: still_gif(64, 48),
    "animated gif": lambda: animated_gif(60, 45),
}


def stripped(data: bytes, folder: Path) -> bytes:
    """The file as it is stored."""
    path = folder / "original"
    path.write_bytes(data)
    result, blobs = strip_location(Job(limits=Limits()), path.read_bytes())
    assert result.changed is bool(blobs)
    return blobs[0] if blobs else data


def shown(data: bytes, folder: Path) -> tuple[int, int, int, int]:
    """What the header says of how it is shown."""
    path = folder / "shown"
    path.write_bytes(data)
    found, _ = header(data, Limits())
    return found.width, found.height, found.frames, found.orientation


def assert_only_the_location_is_gone(before: bytes, after: bytes, folder: Path) -> None:
    told, left = tags(before, after)
    assert locations(told), "it said where it was taken"
    assert not locations(left)
    assert others(left) == others(told)
    assert_shown_alike(before, after, folder)
    assert PLACE.encode() not in after
    assert stripped(after, folder) == after, "nothing is left to remove"


def assert_shown_alike(before: bytes, after: bytes, folder: Path) -> None:
    assert shown(after, folder) == shown(before, folder)
    one, other = opened(before), opened(after)
    assert one.write_to_memory() == other.write_to_memory()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("picture", PICTURES)
def test_every_place_for_it(picture: str, order: ByteOrder, tmp_path: Path) -> None:
    before = located.located(PICTURES[picture](), order, 6)
    assert_only_the_location_is_gone(before, stripped(before, tmp_path), tmp_path)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_stays(orientation: int, tmp_path: Path) -> None:
    for picture in ("jpeg", "png"):
        before = located.located(PICTURES[picture](), ">", orientation)
        assert shown(before, tmp_path)[3] == orientation
        assert shown(stripped(before, tmp_path), tmp_path)[3] == orientation


@pytest.mark.parametrize("picture", PICTURES)
def test_a_file_that_says_nothing_is_not_changed(picture: str, tmp_path: Path) -> None:
    data = PICTURES[picture]()
    assert stripped(data, tmp_path) == data
    told = written(data, located.OTHERS)
    assert stripped(told, tmp_path) == told


@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_in_every_place_and_twice(order: ByteOrder, tmp_path: Path) -> None:
    block, other = located.tiff(order), located.tiff("<" if order == ">" else ">")
    jpeg, png = PICTURES["jpeg without metadata"](), PICTURES["png"]()
    exif = located.exif_segment(block)
    photoshop = b"Photoshop 3.0\0" + b"8BIM\x04\x22\0\0" + len(block).to_bytes(4) + block + bytes(len(block) % 2)
    files = [
        located.with_segments(jpeg, exif),
        located.with_segments(jpeg, exif, located.exif_segment(other)),
        located.with_segments(jpeg, exif, located.segment(0xED, photoshop)),
        located.with_segments(jpeg, exif) + b"MotionPhoto_Data" + b"\0\0\0\x18ftypmp42" + PLACE.encode(),
        located.with_chunks(png, located.chunk(b"eXIf", block)),
    ]
    for keyword in ("exif", "APP1"):
        raw = located.raw_profile(keyword, b"Exif\0\0" + block)
        files += [located.with_chunks(png, text) for text in located.texts(f"Raw profile type {keyword}", raw)]
    for number, before in enumerate(files):
        after = stripped(before, tmp_path)
        told, left = tags(before, after)
        assert any(":GPSLatitude" in tag for tag in told), number
        assert not locations(left), number
        assert PLACE.encode() not in after
        assert next(value for tag, value in left.items() if tag.endswith(":Orientation")) == 6, number
        assert [value for tag, value in left.items() if tag.endswith(":DateTimeOriginal")], number
        assert_shown_alike(before, after, tmp_path)


@pytest.mark.parametrize("properties", [IN_XMP, IN_XMP.replace('"', "'").replace(" ", "\n\t")])
def test_xmp_in_every_place(properties: str, tmp_path: Path) -> None:
    packet = located.packet(properties)
    jpeg, png = PICTURES["jpeg"](), PICTURES["png"]()
    files = [located.with_segments(jpeg, located.segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + packet))]
    files += [located.with_chunks(png, text) for text in located.texts("XML:com.adobe.xmp", packet)]
    raw = located.raw_profile("xmp", packet)
    files += [located.with_chunks(png, text) for text in located.texts("Raw profile type xmp", raw)]
    for before in files:
        assert_only_the_location_is_gone(before, stripped(before, tmp_path), tmp_path)


@pytest.mark.parametrize("pieces", [1, 3])
def test_extended_xmp(pieces: int, tmp_path: Path) -> None:
    segments = located.extended_xmp(pieces)
    before = located.with_segments(photo(322, 201), *segments)
    assert_only_the_location_is_gone(before, stripped(before, tmp_path), tmp_path)
    shuffled = located.with_segments(photo(322, 201), segments[0], *reversed(segments[1:]))
    assert_only_the_location_is_gone(shuffled, stripped(shuffled, tmp_path), tmp_path)
    if pieces > 1:
        after = stripped(located.with_segments(photo(322, 201), *segments[:-1]), tmp_path)
        assert b"46,30" not in after, "a part is missing: all of it goes"
        assert b"exif:GPS" not in after


def test_the_pictures_behind_the_picture(tmp_path: Path) -> None:
    plain = PICTURES["jpeg without metadata"]()
    one = located.with_segments(plain, located.exif_segment(located.tiff("<")))
    two = located.with_segments(photo(90, 60), located.exif_segment(located.tiff(">")))
    before = located.with_second_picture(one, two)
    after = stripped(before + b"\0\0\0\x18ftypmp42" + PLACE.encode(), tmp_path)
    assert len(after) == len(before), "the film behind them is cut off, and no byte has moved"
    (found,) = tags(after)
    assert not locations(found)
    assert found["MPImage2:MPImageLength"] == len(two)
    second = after[-len(two) :]
    (found,) = tags(second)
    assert not locations(found)
    assert found["IFD0:Orientation"] == 6
    assert_shown_alike(two, second, tmp_path)
    assert_shown_alike(before, after, tmp_path)


def test_what_imagemagick_makes_of_it(tmp_path: Path) -> None:
    program = next(name for name in PROGRAMS if shutil.which(name))
    (tmp_path / "in.jpg").write_bytes(located.located(photo(322, 201), "<", 6))
    for name in ("out.png", "out.gif", "out.jpg"):
        subprocess.run([program, str(tmp_path / "in.jpg"), str(tmp_path / name)], check=True, capture_output=True)
        before = (tmp_path / name).read_bytes()
        after = stripped(before, tmp_path)
        (left,) = tags(after)
        assert not locations(left), name
        assert PLACE.encode() not in after
        assert_shown_alike(before, after, tmp_path)


def test_what_was_stripped_can_be_rotated(tmp_path: Path) -> None:
    after = stripped(located.located(photo(322, 201), ">", 6), tmp_path)
    _, (turned,) = rotate(RotateJob(limits=Limits(), rotation=90), after)
    (left,) = tags(turned)
    assert not locations(left)
    assert left["IFD0:Orientation"] == 3
    same: pyvips.Image = opened(turned) - opened(after)
    assert same.abs().max() == 0
