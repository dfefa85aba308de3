"""How close a thumbnail is to a perfect one: PSNR and SSIM of the luma."""

import math
from pathlib import Path

import pyvips

_WINDOW = 1.5  # sigma of the Gaussian window, as in Wang et al., "Image quality assessment" (2004)
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def reference(original: Path, width: int, height: int) -> pyvips.Image:
    """The luma of the original, decoded in full and resized with Lanczos3 in floating point, rounded to 8 bits."""
    image = pyvips.Image.jpegload(str(original)).cast("float")
    resized = image.resize(width / image.width, vscale=height / image.height, kernel="lanczos3", gap=0)
    return _luma(resized.rint().cast("uchar"))


def compare(thumbnail: bytes, perfect: pyvips.Image) -> tuple[float, float]:
    """PSNR in dB and SSIM of the decoded thumbnail against the reference."""
    found = _luma(pyvips.Image.jpegload_buffer(thumbnail))
    error = ((found - perfect) ** 2).avg()
    return 10 * math.log10(255**2 / error) if error else math.inf, _ssim(found, perfect)


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
