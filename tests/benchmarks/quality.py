"""How close a thumbnail is to a perfect one: PSNR and SSIM of the luma; and what the modern formats' settings cost."""

import math
from pathlib import Path

import pyvips
from tests.benchmarks import peers, photos
from tests.benchmarks.report import cpu_seconds, say

from common.images.formats import Format, Output
from common.images.sizes import Size, parse_sizes
from resizer.operations.encode import encode

# Widths that include those where a decoder's shrink lands exactly on the largest thumbnail.
WIDTHS = (1501, 1700, 2000, 2250, 2600, 3000, 3001, 3400, 4000, 4500, 5000, 5999, 6000)
_WINDOW = 1.5  # sigma of the Gaussian window, as in Wang et al., "Image quality assessment" (2004)
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def against_imagemagick(folder: Path, *, with_imagemagick: bool) -> None:
    """Decoded thumbnails against a full-decode Lanczos3, and how far ahead of ImageMagick's they are."""
    say()
    say("Luma against a full-decode Lanczos3: PSNR in dB, SSIM; in brackets, ahead of ImageMagick")
    worst_psnr = worst_ssim = math.inf
    for width in WIDTHS:
        photo = photos.make_photo(folder, width, round(width * 3 / 4))
        names = ["ours", *(["imagemagick"] if with_imagemagick else [])]
        for name in names:
            peers.measure(name, photo, 1, folder)
        line = f"{width:6}"
        for plan in parse_sizes(None):
            perfect = reference(photo, plan)
            found = [
                compare((peers.made_by(name, photo, folder) / plan.suffix).read_bytes(), perfect) for name in names
            ]
            line += f"   {plan.suffix} {found[0][0]:6.2f} {found[0][1]:.4f}"
            if with_imagemagick:
                ahead = found[0][0] - found[1][0], found[0][1] - found[1][1]
                worst_psnr, worst_ssim = min(worst_psnr, ahead[0]), min(worst_ssim, ahead[1])
                line += f" ({ahead[0]:+.2f} {ahead[1]:+.4f})"
        say(line)
    if with_imagemagick:
        say(f"worst: {worst_psnr:+.2f} dB, {worst_ssim:+.4f} (no more than 0.1 dB and .0005 behind is wanted)")


def curve(folder: Path) -> None:
    """What quality and effort of the modern formats cost and give, for the largest version of the photo."""
    photo = photos.make_photo(folder)
    big, *_ = parse_sizes(None)
    perfect = reference(photo, big)
    image = colours(photo, big).copy_memory()
    say()
    say("The largest version, 1500 x 1125: what it costs to encode, and what it is then")
    say(f"{'':22}{'CPU ms':>8}{'KB':>7}{'PSNR':>8}{'SSIM':>8}")
    tried = [Output(format=Format.JPG)]
    tried += [Output(format=Format.WEBP, quality=q, effort=e) for e in (0, 2, 4) for q in (86, 93)]
    tried += [Output(format=Format.AVIF, quality=q, effort=e) for e in (0, 1, 2) for q in (75, 80, 83)]
    for output in tried:
        start = cpu_seconds()
        data = encode(image, output, big)
        milliseconds = (cpu_seconds() - start) * 1e3
        psnr, ssim = compare(data, perfect)
        name = output.format.upper() + (f" {output.quality}, effort {output.effort}" if output.quality else " 90")
        say(f"{name:22}{milliseconds:8.0f}{len(data) / 1024:7.0f}{psnr:8.2f}{ssim:8.4f}")


def reference(original: Path, plan: Size) -> pyvips.Image:
    """The luma of the perfect thumbnail: decoded in full, Lanczos3 in floating point, rounded to 8 bits."""
    return _luma(colours(original, plan))


def compare(thumbnail: bytes, perfect: pyvips.Image) -> tuple[float, float]:
    """PSNR in dB and SSIM of the decoded thumbnail against the reference."""
    found = _luma(pyvips.Image.new_from_buffer(thumbnail, ""))
    error = ((found - perfect) ** 2).avg()
    return 10 * math.log10(255**2 / error) if error else math.inf, _ssim(found, perfect)


def colours(original: Path, plan: Size) -> pyvips.Image:
    """The perfect thumbnail in colour."""
    image = pyvips.Image.jpegload(str(original)).cast("float")
    if plan.suffix != "SI":
        width, height = plan.dimensions(image.width, image.height)
        return _resized(image, width, height)
    scale = 200 / min(image.width, image.height)
    width, height = int(image.width * scale + 0.5), int(image.height * scale + 0.5)
    return _resized(image, width, height).crop(width // 2 - 100, height // 2 - 100, 200, 200)


def _resized(image: pyvips.Image, width: int, height: int) -> pyvips.Image:
    resized = image.resize(width / image.width, vscale=height / image.height, kernel="lanczos3", gap=0)
    return resized.rint().cast("uchar").copy(interpretation="srgb")


def _ssim(one: pyvips.Image, other: pyvips.Image) -> float:
    def blurred(image: pyvips.Image) -> pyvips.Image:
        return image.cast("float").gaussblur(_WINDOW, precision="float")

    mean_one, mean_other = blurred(one), blurred(other)
    var_one = blurred(one * one) - mean_one**2
    var_other = blurred(other * other) - mean_other**2
    covariance = blurred(one * other) - mean_one * mean_other
    numerator = (mean_one * mean_other * 2 + _C1) * (covariance * 2 + _C2)
    denominator = (mean_one**2 + mean_other**2 + _C1) * (var_one + var_other + _C2)
    ssim: float = (numerator / denominator).avg()
    return ssim


def _luma(image: pyvips.Image) -> pyvips.Image:
    if image.bands == 1:
        return image.cast("float")
    return image.cast("float").recomb([[0.299, 0.587, 0.114]])
