"""What becomes of an image, rendered in this process, beside what ImageMagick or arithmetic make of the same pixels."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pyvips
from tests.support.imagemagick import convert
from tests.support.pictures import opened

from common.images.formats import Format, Output
from common.images.sizes import DEFAULT, Crop, Size, parse_sizes
from common.sandbox.protocol import Limits
from resizer.operations.render import Rendered, RenderJob, render

Configuration = Mapping[str, Sequence[str]]  # suffix to ImageMagick's arguments

DEFAULTS: Configuration = dict(DEFAULT)


def rendered(data: bytes, output: Format) -> tuple[Rendered, list[pyvips.Image]]:
    """The result of rendering in the default sizes, and the variants' pictures. Raises what `render` raises."""
    job = RenderJob(limits=Limits(), sizes=parse_sizes(None), outputs=(Output(format=output),))
    result, blobs = render(job, data)
    return result, [opened(blob) for blob in blobs]


def sizes(configuration: Configuration) -> tuple[Size, ...]:
    """The configuration as the services read it."""
    entries = [{"suffix": suffix, "convert": list(arguments)} for suffix, arguments in configuration.items()]
    return parse_sizes(json.dumps(entries))


def files(data: bytes, written: Format, configuration: Configuration, crop: str | None = None) -> dict[str, bytes]:
    """The variants' files by suffix. Raises what `render` raises."""
    job = RenderJob(
        limits=Limits(),
        sizes=sizes(configuration),
        outputs=(Output(format=written),),
        crop=None if crop is None else Crop.parse(crop),
    )
    result, blobs = render(job, data)
    assert not result.damaged
    return {made.suffix: blob for made, blob in zip(result.variants, blobs, strict=True)}


def made(
    data: bytes, written: Format, configuration: Configuration, crop: str | None = None
) -> dict[str, pyvips.Image]:
    """The variants' pictures by suffix, all frames. Raises what `render` raises."""
    return {suffix: opened(blob) for suffix, blob in files(data, written, configuration, crop).items()}


def by_imagemagick(truth: pyvips.Image, configuration: Configuration) -> dict[str, pyvips.Image]:
    """What ImageMagick makes of these pixels, by suffix."""
    with TemporaryDirectory() as folder:
        truth.pngsave(f"{folder}/truth.png", compression=1, keep="none")
        arguments = ["-define", "png:compression-level=1"]
        for suffix, steps in configuration.items():
            arguments += ["(", "-clone", "0", *steps, "-write", f"png:{folder}/{suffix}", "+delete", ")"]
        convert(f"png:{folder}/truth.png", *arguments, "null:")
        return {suffix: opened((Path(folder) / suffix).read_bytes()) for suffix in configuration}


def frames(image: pyvips.Image) -> list[pyvips.Image]:
    """The frames, which lie below each other."""
    height = image.get("page-height") if image.get_typeof("page-height") else image.height
    return [image.crop(0, top, image.width, height) for top in range(0, image.height, height)]


def difference(found: pyvips.Image, expected: pyvips.Image) -> tuple[float, float]:
    """Largest and mean difference in levels of 255, each channel weighted by what is visible. Dimensions are equal."""
    assert (found.width, found.height) == (expected.width, expected.height)
    if not found.hasalpha() and not expected.hasalpha():
        statistics = (found.colourspace("srgb") - expected.colourspace("srgb")).abs().stats()
        return statistics(1, 0)[0], statistics(4, 0)[0] * 3 / 4  # the mean is that of four channels, alpha included
    statistics = (_visible(found) - _visible(expected)).abs().stats()
    return statistics(1, 0)[0], statistics(4, 0)[0]


def _visible(image: pyvips.Image) -> pyvips.Image:
    """Red, green and blue times alpha, and alpha, so that no colour counts that nobody sees."""
    image = image.colourspace("srgb")
    alpha = image[3] if image.hasalpha() else image[0] * 0 + 255
    return (image.extract_band(0, n=3) * alpha / 255).bandjoin(alpha)
