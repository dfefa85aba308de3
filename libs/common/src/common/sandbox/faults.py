"""What the errors of libvips mean: whether the image is at fault, and why."""

import pyvips

from common.errors import FailureClass

# Whose errors are about the file: the loaders that `load` calls, and what reads for them (librsvg's errors come as
# glib's, lcms reads colour profiles, libexif EXIF). All others are about how an operation was called. The names are
# those that libvips gives as an error's domain, as seen over the hostile set of the tests with libvips 8.18.
LOADERS = frozenset(
    {
        "VipsJpeg",
        "jpegload_source",
        "vipspng",
        "pngload_source",
        "gifload_source",
        "gifload_buffer",
        "svgload_buffer",
        "glib",
        "VipsIcc",
        "exif",
    }
)
_NO_THREAD = "glib: Error creating thread"


def explain(error: pyvips.Error) -> str:
    """The library's last word on an image, in one line."""
    lines = [line.strip() for line in str(error.detail or "").splitlines() if line.strip()]
    return lines[-1] if lines else "it cannot be decoded"


def fault_of(error: pyvips.Error) -> FailureClass | None:
    """Whether the image is broken, or needs more memory than there is: the library says both in words only.

    None when the image is not at fault: an operation was called wrongly, or the machine failed it.
    """
    detail = str(error.detail or "")
    if "memory" in detail.lower():
        return FailureClass.MEMORY
    lines = [line for line in detail.splitlines() if line.strip()]
    if not lines:
        # The PNG loader fails without a word where libpng gives up. pyvips' own refusals do not begin like this.
        return FailureClass.BROKEN if str(error.message).startswith("unable to ") else None
    about_the_file = all(line.partition(":")[0] in LOADERS and not line.startswith(_NO_THREAD) for line in lines)
    return FailureClass.BROKEN if about_the_file else None
