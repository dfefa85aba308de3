"""Images say under which licences what they hold is: in a label, in a file, and in the documents."""

import re
from functools import cache
from importlib.metadata import Distribution, distribution, version
from pathlib import Path

import pytest
from deploy.licences import FONTS, LIBRARIES, combined, listed, of_packages
from packaging.licenses import canonicalize_license_expression
from tests.support.install import FONTS as FONTS_OF_TESTS

DOCKERFILE = Path("deploy/Dockerfile").read_text()
# Of the packages that are built with libvips, what its configuration calls by another name.
CALLED = {
    "imagequant": "libimagequant",
    "lcms2": "lcms",
    "libhwy": "highway",
    "libjpeg": "mozjpeg",
    "librsvg-2.0": "librsvg",
    "libtiff-4": "libtiff",
    "libuhdr": "libultrahdr",
    "pangocairo": "pango",
    "zlib": "zlib-ng",
}


def locked() -> set[str]:
    """The packages of all images that are for Linux, but flit-core, with which they are built."""
    locks = ["deploy/standalone/requirements.lock", *(str(path) for path in Path("services").glob("*/*.lock"))]
    names = {name for lock in locks for name in re.findall(r"^([a-z0-9-]+)==", Path(lock).read_text(), re.MULTILINE)}
    return names - {"colorama", "flit-core"}


@cache
def packages() -> dict[str, str]:
    """The licence of each package."""
    return {name: licence for name, _, licence in of_packages(map(distribution, locked()))}


@cache
def every_licence() -> list[str]:
    return [*packages().values(), *LIBRARIES.values(), *FONTS.values()]


def test_every_package_has_a_licence_that_spdx_knows() -> None:
    assert packages().keys() == locked()
    for licence in every_licence():
        assert canonicalize_license_expression(licence) == licence


def test_the_label_of_every_image_names_all_licences() -> None:
    label = re.search(r'org\.opencontainers\.image\.licenses="(.*)"', DOCKERFILE)
    assert label
    assert label[1] == combined(every_licence())


def test_every_library_that_libvips_says_it_was_built_with_is_listed() -> None:
    (program,) = Path(str(distribution("pyvips-binary").locate_file("pyvips_binary.libs"))).glob("libvips*")
    built_with = set(re.findall(rb"^[\w/ ]+ with ([\w.-]+): true", program.read_bytes(), re.MULTILINE))
    names = {name.decode() for name in built_with}
    assert "libheif" in names
    assert {CALLED.get(name, name) for name in names} <= LIBRARIES.keys()


def test_the_fonts_are_those_that_images_install() -> None:
    assert FONTS.keys() == set(FONTS_OF_TESTS.values())
    assert all(name in DOCKERFILE for name in FONTS)


def test_the_list_of_an_image_has_each_package_with_its_version() -> None:
    lines = listed(map(distribution, [*locked(), "image-backend-common"])).splitlines()
    expected = [f"  {name} {version(name)}: {licence}" for name, licence in sorted(packages().items())]
    expected += [f"  {name}: {licence}" for name, licence in (LIBRARIES | FONTS).items()]
    assert [line for line in lines if line.startswith("  ")] == expected


def test_a_package_without_a_licence_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "nameless-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: nameless\nVersion: 1.0\n")
    with pytest.raises(ValueError, match=r"^nameless 1\.0 names no licence: expected one"):
        list(of_packages([Distribution.at(folder)]))


def test_the_documents_have_a_row_for_each_licence() -> None:
    text = Path("docs/containers.md").read_text().partition("\n### Licences\n")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| ([^|`]+) \| ([^|]+) \|$", text, re.MULTILINE))
    rows.pop("licence")
    expected: dict[str, set[str]] = {}
    for name, licence in (packages() | LIBRARIES | FONTS).items():
        expected.setdefault(licence, set()).add(name)
    assert {licence: set(names.split(", ")) for licence, names in rows.items() if "-" * 3 not in licence} == expected
