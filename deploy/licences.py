"""`python deploy/licences.py`: lists what an image holds beside Debian and Python, and each licence as SPDX writes it.

It reads the packages of the environment that it runs in. The licences of our own packages are not among them.
"""

import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, distributions

_OURS = "image-backend-"
# Packages whose metadata does not have a licence as SPDX writes it.
_BY_HAND = {
    "aiosignal": "Apache-2.0",
    "jinja2": "BSD-3-Clause",
    "protobuf": "BSD-3-Clause",
    "python-dateutil": "Apache-2.0 OR BSD-3-Clause",
}

# What pyvips-binary is made of. Its metadata names one licence for the whole.
LIBRARIES = {
    "aom": "BSD-2-Clause",
    "cairo": "LGPL-2.1-only OR MPL-1.1",
    "cgif": "MIT",
    "expat": "MIT",
    "fontconfig": "HPND-sell-variant",
    "freetype": "FTL",
    "fribidi": "LGPL-2.1-or-later",
    "glib": "LGPL-2.1-or-later",
    "harfbuzz": "MIT-Modern-Variant",
    "highway": "Apache-2.0 OR BSD-3-Clause",
    "lcms": "MIT",
    "libarchive": "BSD-2-Clause",
    "libexif": "LGPL-2.1-or-later",
    "libffi": "MIT",
    "libheif": "LGPL-3.0-or-later",
    "libimagequant": "BSD-2-Clause",
    "libnsgif": "MIT",
    "libpng": "libpng-2.0",
    "librsvg": "LGPL-2.1-or-later",
    "libtiff": "libtiff",
    "libultrahdr": "Apache-2.0 AND MIT",
    "libvips": "LGPL-2.1-or-later",
    "libwebp": "BSD-3-Clause",
    "libxml2": "MIT",
    "mozjpeg": "BSD-3-Clause AND IJG AND Zlib",
    "pango": "LGPL-2.1-or-later",
    "pixman": "MIT",
    "zlib-ng": "Zlib",
}
# The packages of Debian that the Dockerfile installs for text in SVG.
FONTS = {"fonts-dejavu-core": "Bitstream-Vera", "fonts-liberation": "OFL-1.1"}

_TEXT = """\
What this image holds beside Debian and Python, and under which licence. Licences are written as SPDX writes them.

Python packages. The texts are in /opt/image-backend/lib/python*/site-packages/*.dist-info.
{packages}

Libraries in the package pyvips-binary, https://github.com/kleisauke/libvips-packaging. The texts of the LGPL are in
/usr/share/common-licenses.
{libraries}

Fonts. The texts are in /usr/share/doc/fonts-*/copyright.
{fonts}

Those of Debian's packages are in /usr/share/doc/*/copyright, and that of Python in /usr/local/lib/python*/LICENSE.txt.
"""


def of_packages(installed: Iterable[Distribution]) -> Iterator[tuple[str, str, str]]:
    """Name, version and licence of each package but our own. Raises ValueError for one that names no licence."""
    for package in installed:
        name = package.metadata["Name"].lower().replace("_", "-")
        if name.startswith(_OURS):
            continue
        licence = _field(package, "License-Expression") or _BY_HAND.get(name) or _field(package, "License")
        if not licence:
            raise ValueError(f"{name} {package.version} names no licence: expected one, or one by hand in {__file__}")
        yield name, package.version, licence


def _field(package: Distribution, name: str) -> str | None:
    return next(iter(package.metadata.get_all(name, [])), None)


def combined(licences: Iterable[str]) -> str:
    """One SPDX expression: all of these hold. A choice stays one, in parentheses."""
    parts = {part for licence in licences for part in licence.split(" AND ")}
    return " AND ".join(f"({part})" if " OR " in part else part for part in sorted(parts))


def listed(installed: Iterable[Distribution]) -> str:
    """The list of what an image with these packages holds. Raises ValueError for a package that names no licence."""
    packages = sorted(of_packages(installed))
    return _TEXT.format(
        packages="\n".join(f"  {name} {version}: {licence}" for name, version, licence in packages),
        libraries="\n".join(f"  {name}: {licence}" for name, licence in LIBRARIES.items()),
        fonts="\n".join(f"  {name}: {licence}" for name, licence in FONTS.items()),
    )


def main() -> None:
    """Print the list, or say which package names no licence."""
    try:
        print(listed(distributions()), end="")
    except ValueError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
