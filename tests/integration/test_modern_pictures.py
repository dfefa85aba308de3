"""WebP and AVIF versions of every kind of original, as a browser would decode them."""

from dataclasses import replace
from pathlib import Path

import pytest
import pyvips
from tests.support.pictures import DELAYS, SVG, animated_gif, dimensions, opened, photo, still_gif, transparent_png

from common.errors import Defect
from common.images.formats import Format, Output
from common.images.sizes import parse_sizes
from common.sandbox.pool import Pool
from common.sandbox.protocol import Limits
from resizer.operations.render import Rendered, RenderJob, render

SIZES = parse_sizes(None)
WEBP, AVIF = Output(format=Format.WEBP, quality=93, effort=4), Output(format=Format.AVIF, quality=83)


def job(*outputs: Output) -> RenderJob:
    return RenderJob(limits=Limits(), sizes=SIZES, outputs=outputs)


def modern(data: bytes) -> dict[str, bytes]:
    """The variants by suffix and format."""
    result, blobs = render(job(WEBP, AVIF), data)
    return {f"{made.suffix}.{made.format}": blob for made, blob in zip(result.variants, blobs, strict=True)}


@pytest.mark.parametrize(
    ("data", "base"),
    [
        (photo(1800, 1200), Format.JPG),
        (photo(1200, 800, 6), Format.JPG),
        (transparent_png(), Format.PNG),
        (still_gif(), Format.GIF),
        (SVG, Format.JPG),
    ],
)
def test_they_show_what_the_base_variants_show(data: bytes, base: Format) -> None:
    found = modern(data)
    assert set(found) == {f"{size.suffix}.{ending}" for size in SIZES for ending in ("webp", "avif")}
    _, bases = render(job(Output(format=base)), data)
    for size, plain in zip(SIZES, map(opened, bases), strict=True):
        for ending, loader in (("webp", "webpload"), ("avif", "heifload")):
            made = opened(found[f"{size.suffix}.{ending}"])
            assert made.get("vips-loader").startswith(loader)
            assert (made.width, made.height) == (plain.width, plain.height)
            difference = made.flatten(background=255) if made.hasalpha() else made
            other = plain.flatten(background=255) if plain.hasalpha() else plain
            assert (difference.cast("short") - other.cast("short")).abs().avg() < 9, f"{size.suffix}.{ending}"


def test_what_is_transparent_stays_so() -> None:
    for data in (transparent_png(), SVG):
        for name, blob in modern(data).items():
            # -extent puts the square one on its background, white by default.
            assert opened(blob).hasalpha() == ("SI" not in name)
            if "SI" not in name:
                assert opened(blob).getpoint(1, 1)[3] == 0


def test_they_carry_no_metadata() -> None:
    image = opened(photo(600, 400)).copy()
    where = "45/1 50/1 0/1 (45, 50, 0, Rational, 3 components)"
    image.set_type(pyvips.GValue.gstr_type, "exif-ifd3-GPSLatitude", where)
    image.set_type(pyvips.GValue.blob_type, "xmp-data", b"<x:xmpmeta>where it was</x:xmpmeta>")
    for blob in (*modern(image.jpegsave_buffer()).values(), *modern(animated_gif()).values()):
        made = opened(blob)
        assert not [name for name in made.get_fields() if name.startswith(("exif", "xmp", "icc"))]
        assert b"where it was" not in blob


def test_an_animated_gif_becomes_animated_webp_and_a_still_avif() -> None:
    found = modern(animated_gif())
    for suffix, size in (("BI", (600, 450)), ("MI", (400, 300)), ("SI", (200, 200))):
        animation = pyvips.Image.new_from_buffer(found[f"{suffix}.webp"], "n=-1").copy_memory()
        assert (animation.width, animation.get("page-height")) == size
        assert animation.get("n-pages") == 4
        assert animation.get("delay") == DELAYS
        assert animation.get("loop") == 0
        tops = [animation.getpoint(size[0] // 2, size[1] // 2 + size[1] * frame)[:3] for frame in range(3)]
        assert [top.index(max(top)) for top in tops] == [0, 1, 2], "red, green, blue"
        still = found[f"{suffix}.avif"]
        assert dimensions(still) == size
        assert opened(still).getpoint(size[0] // 2, size[1] // 2)[0] > 150, "the first frame, which is red"


@pytest.mark.parametrize("kind", [Format.JPG, Format.PNG])
def test_an_animated_gif_called_otherwise_becomes_a_still_of_the_format_that_its_name_tells(kind: Format) -> None:
    result, blobs = render(job(Output(format=kind)), animated_gif())
    for made, blob in zip(result.variants, blobs, strict=True):
        variant = opened(blob)
        assert variant.get("vips-loader").startswith({Format.JPG: "jpegload", Format.PNG: "pngload"}[kind])
        assert (variant.width, variant.height) == (made.width, made.height)
        assert variant.getpoint(made.width // 2, made.height // 2)[0] > 150, "the first frame, which is red"


def test_a_transparent_animation_called_a_jpeg_lies_on_white() -> None:
    frames = [pyvips.Image.black(60, 40).bandjoin([0, 0, opacity]) for opacity in (0, 255)]
    strip = pyvips.Image.arrayjoin(frames, across=1).cast("uchar").copy(interpretation="srgb")
    strip.set_type(pyvips.GValue.gint_type, "page-height", 40)
    _, blobs = render(job(Output(format=Format.JPG)), strip.gifsave_buffer())
    for blob in blobs:
        assert opened(blob)(1, 1) == [255, 255, 255]


@pytest.mark.parametrize("data", [photo(60, 40), animated_gif(60, 40)], ids=["still", "animated"])
def test_a_format_that_nothing_writes_is_a_defect(data: bytes) -> None:
    with pytest.raises(Defect, match="svg"):
        render(job(Output(format=Format.SVG)), data)


async def test_a_decoding_process_may_write_them(tmp_path: Path) -> None:
    """Its limits and blocks, and its address space, leave room for both encoders."""
    (tmp_path / "original").write_bytes(photo())
    async with Pool.open(1, Limits(memory_mb=512), background=True) as pool:
        rendered, blobs = await pool.run(render, job(WEBP, AVIF), Rendered, tmp_path / "original")
    assert len(blobs) == 6
    assert (rendered.width, rendered.height) == (4000, 3000)


def test_what_a_format_cannot_hold_is_left_out_and_the_rest_is_made() -> None:
    convert = '[{"suffix": "ALL", "convert": []}, {"suffix": "MI", "convert": ["-resize", "400x400>"]}]'
    for width, expected in (
        (16_383, ["ALL.webp", "ALL.avif", "MI.webp", "MI.avif"]),
        (16_384, ["ALL.avif", "MI.webp", "MI.avif"]),
        (17_000, ["MI.webp", "MI.avif"]),
    ):
        wide = replace(job(WEBP, AVIF), sizes=parse_sizes(convert))
        result, blobs = render(wide, photo(width, 40))
        assert [f"{made.suffix}.{made.format}" for made in result.variants] == expected
        assert [dimensions(blob) for blob in blobs] == [(made.width, made.height) for made in result.variants]
