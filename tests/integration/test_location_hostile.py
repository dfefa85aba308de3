"""Metadata that is broken on purpose: it is never left to tell a location, and never hurts the service."""

import random
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import pyvips
from tests.integration.test_location import PICTURES, assert_shown_alike, shown, stripped
from tests.support import located
from tests.support.exiftool import locations, tags
from tests.support.exploration import seeds, some
from tests.support.located import IN_XMP, chunk, exif_segment, packet, segment, tiff, with_chunks, with_segments
from tests.support.pictures import animated_gif, opened, photo, transparent_png

from common.errors import ImageError
from common.imaging.location import Stripped, strip_location
from common.sandbox.pool import Pool
from common.sandbox.protocol import Job, Limits

PLAIN = bytes(opened(photo(322, 201)).jpegsave_buffer(keep="none"))
XAP = b"http://ns.adobe.com/xap/1.0/\0"


@pytest.mark.explores
@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_that_is_cut_off_anywhere_goes_and_the_orientation_stays(order: located.ByteOrder, tmp_path: Path) -> None:
    block = tiff(order)
    # Its entries have 12 bytes each: every fifth length cuts off each of them somewhere, and ends everywhere in one.
    lengths = some(range(len(block)), [*range(0, len(block) - 1, 5), len(block) - 1])
    before = [with_segments(PLAIN, exif_segment(block[:length])) for length in lengths]
    before += [with_chunks(transparent_png(90, 60), chunk(b"eXIf", block[:length])) for length in lengths]
    after = [stripped(data, tmp_path) for data in before]
    for one, other in zip(before, after, strict=True):
        assert_shown_alike(one, other, tmp_path)
    left = tags(*after)
    assert not any(locations(found) for found in left)
    assert not any(tag for found in left for tag in found if tag.endswith((":Make", ":DateTimeOriginal")))
    assert shown(after[len(lengths) - 1], tmp_path)[3] == 6, "which is read where only its end is missing"


def metadata_of(data: bytes) -> list[int]:
    """Where the bytes of its metadata are."""
    if data.startswith(b"\xff\xd8"):
        return [*range(2, data.index(b"\xff\xdb"))]
    if data.startswith(b"GIF"):
        return [*range(data.index(b"XMP Data") - 3, data.index(b"\x01\xff\xfe\xfd"))]
    begin = data.index(b"IDAT") - 4
    return [*range(33, begin), *range(begin + 12 + int.from_bytes(data[begin : begin + 4]), len(data) - 12)]


def flipped(data: bytes, seed: int) -> bytes:
    """The file with a few bytes of its metadata changed."""
    chance, changed, places = random.Random(seed), bytearray(data), metadata_of(data)
    for _ in range(chance.randint(1, 6)):
        changed[chance.choice(places)] = chance.randrange(256)
    return bytes(changed)


@pytest.mark.explores
@pytest.mark.parametrize("picture", ["jpeg", "png", "animated gif"])
def test_damaged_metadata_tells_nothing(picture: str, tmp_path: Path) -> None:
    good = located.located(PICTURES[picture](), "<", 6)
    before = [flipped(good, seed) for seed in seeds(50, 1500)]
    after = [stripped(data, tmp_path) for data in before]
    found = [(seed, locations(left)) for seed, left in enumerate(tags(*after)) if locations(left)]
    assert not found
    for one, other in zip(before, after, strict=True):
        if decodable(one):
            assert_shown_alike(one, other, tmp_path)


def decodable(data: bytes) -> bool:
    try:
        opened(data)
    except pyvips.Error:
        return False
    return True


def bombs() -> Iterator[tuple[str, bytes]]:
    png, gif = transparent_png(90, 60), animated_gif(60, 45)
    entities = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">' + "".join(
        f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(9)
    )
    laughs = f"{entities}]><x:xmpmeta xmlns:x='adobe:ns:meta/'>&j;</x:xmpmeta>".encode()
    yield "entities.jpg", with_segments(PLAIN, segment(0xE1, XAP + laughs))
    outside = b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x:xmpmeta xmlns:x="x">&a;</x:xmpmeta>'
    yield "outside.jpg", with_segments(PLAIN, segment(0xE1, XAP + outside))
    for name, text in (
        ("deep", b"<x:xmpmeta>" * 300_000),
        ("deep locations", b"<gps>" * 200_000 + b"</gps>" * 200_000 + b"xmpmeta"),
        ("many attributes", b"<xmpmeta " + b" ".join(b"gps%d='1'" % n for n in range(100_000)) + b"/>"),
        ("quotes", b"<xmpmeta a=" + b"'" * 2_000_000),
    ):
        yield f"{name}.png", with_chunks(png, chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + text))
    spaces = b"\nexif\n" + b" " * 4_000_000 + b"5\n" + b" " * 4_000_000 + b"x"
    yield "spaces.png", with_chunks(png, chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(spaces)))
    big = zlib.compress(bytes(100 << 20))
    yield "unpacked.png", with_chunks(png, *[chunk(b"zTXt", b"Raw profile type xmp\0\0" + big)] * 20)
    yield (
        "digits.png",
        with_chunks(png, chunk(b"tEXt", b"Raw profile type exif\0\nexif\n" + b"9" * 100_000 + b"\nff\n")),
    )
    yield "chunks.png", with_chunks(png, *[chunk(b"prVt", b"")] * 100_000)
    yield "long.png", with_chunks(png, b"\x7f\xff\xff\xffeXIf")
    head = b"MM\0*\0\0\0\x08"
    yield "circle.jpg", with_segments(PLAIN, exif_segment(head + b"\0\0" + b"\0\0\0\x08"))
    pointer = b"\x87\x69\0\4\0\0\0\1\0\0\0\x08"
    yield "itself.jpg", with_segments(PLAIN, exif_segment(head + b"\0\1" + pointer + bytes(4)))
    gps = b"\x88\x25\0\4\0\0\0\1\0\0\0\x08"
    yield "gps is the first.jpg", with_segments(PLAIN, exif_segment(head + b"\0\1" + gps + bytes(4)))
    everything = (b"\x01\x01\0\7\0\0\xff\0" + bytes(4)) * 5000
    yield "overlapping.jpg", with_segments(PLAIN, exif_segment(head + b"\x13\x88" + everything + bytes(4)))
    large = (b"\x92\x7c\0\7\0\x10\0\0\0\0\x80\0") * 60_000
    yield "overlapping.png", with_chunks(png, chunk(b"eXIf", head + b"\xea\x60" + large + bytes(4 << 20)))
    yield "starts.jpg", PLAIN + b"\xff\xd8\xff" * 3_000_000
    yield "no length.jpg", PLAIN[:2] + b"\xff\xe1\0\0" + PLAIN[2:]
    yield "fill.jpg", PLAIN[:2] + b"\xff" * 3_000_000 + PLAIN[2:]
    parts = [b"http://ns.adobe.com/xmp/extension/\0" + b"A" * 32 + b"\xff" * 8 + b"x"] * 3000
    yield "extended.jpg", with_segments(PLAIN, *[segment(0xE1, part) for part in parts])
    extension = b"\x21\xff\x0bXMP DataXMP" + b"\x01x" * 2_000_000 + b"\0"
    yield "blocks.gif", gif[:-1] + extension + b"\x3b"
    yield "cut off.gif", gif[:-1] + extension[:-1]
    yield "nothing.gif", b"GIF89a"
    yield "nothing.jpg", b"\xff\xd8\xff"
    yield "nothing.png", b"\x89PNG\r\n\x1a\n"


async def test_bombs_end(tmp_path: Path) -> None:
    limits = Limits(memory_mb=1024, cpu_seconds=5, wall_seconds=100)
    path, refused = tmp_path / "original", dict[str, str]()
    async with Pool.open(1, limits) as pool:
        for name, data in bombs():
            path.write_bytes(data)
            try:
                result, blobs = await pool.run(strip_location, Job(limits=limits), Stripped, path)
            except ImageError as error:
                refused[name] = error.reason
                continue
            after = blobs[0] if result.changed else data
            assert b"46,30" not in after, name
            if decodable(data):
                assert_shown_alike(data, after, tmp_path)
    assert not [name for name, reason in refused.items() if "defect" in reason]
    assert {"nothing.gif", "nothing.jpg", "nothing.png"} <= set(refused)


def test_a_broken_packet_goes_as_a_whole(tmp_path: Path) -> None:
    good = packet(IN_XMP)
    for broken in (
        good[:-40],
        good + b"<more/>",
        good.decode().encode("utf-16"),
        good.replace(b"exif:GPSLat", b"\xff"),
    ):
        before = with_segments(PLAIN, segment(0xE1, XAP + broken))
        after = stripped(before, tmp_path)
        assert b"30.0N" not in after
        assert len(after) == len(before)
        assert_shown_alike(before, after, tmp_path)


def test_a_chunk_that_decoders_pass_over_is_not_made_to_be_read(tmp_path: Path) -> None:
    wrong = chunk(b"eXIf", tiff())[:-1] + b"\0"
    before = with_chunks(transparent_png(90, 60), wrong)
    after = stripped(before, tmp_path)
    assert located.PLACE.encode() not in after
    begin = after.index(b"eXIf")
    end = begin + 4 + int.from_bytes(after[begin - 4 : begin])
    assert after[end : end + 4] != zlib.crc32(after[begin:end]).to_bytes(4)
    assert_shown_alike(before, after, tmp_path)
