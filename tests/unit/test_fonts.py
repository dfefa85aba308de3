"""Which fonts there are; and what decoders may read for their sake: what fontconfig's configuration names."""

from pathlib import Path

import pytest
from tests.support.install import FONTS

from common.sandbox.fonts import readable_paths

CONFIGURATION = """
<fontconfig>
  <dir>plain</dir><dir prefix="relative">beside</dir><dir prefix="xdg">home</dir><dir prefix="cwd">here</dir>
  <dir prefix='default'>here too</dir>
  <cachedir>cache</cachedir>
  <include>conf.d</include><include prefix="xdg">home.d</include><include prefix="cwd">here.d</include>
</fontconfig>
"""
NAMES = ("plain", "beside", "home", "here", "here too", "cache", "conf.d", "home.d", "here.d")


@pytest.fixture
def current(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder. It has a folder of each name, and so has the folder of the configuration."""
    for place in ("current", "configured"):
        for name in NAMES:
            (tmp_path / place / name).mkdir(parents=True)
            (tmp_path / place / name / "50.conf").write_text(f"<dir>{tmp_path / place / name}</dir>")
    (tmp_path / "configured" / "fonts.conf").write_text(CONFIGURATION)
    monkeypatch.chdir(tmp_path / "current")
    monkeypatch.delenv("FONTCONFIG_PATH", raising=False)
    monkeypatch.delenv("FONTCONFIG_FILE", raising=False)
    return tmp_path / "current"


def named(folder: Path) -> set[str]:
    """Which of the folder's folders are readable."""
    found = {path.resolve() for path in readable_paths()}
    assert not found & {folder, *folder.parents}
    return {name for name in NAMES if folder / name in found}


def test_nothing_of_the_current_folder_is_readable(current: Path) -> None:
    assert named(current) == set()


def test_of_the_current_folder_only_what_the_configuration_says_is_there(
    current: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured = current.parent / "configured"
    monkeypatch.setenv("FONTCONFIG_FILE", str(configured / "fonts.conf"))
    assert named(current) == {"here", "here too"}
    assert named(configured) == {"plain", "beside", "cache", "conf.d", "here.d"}


def test_the_images_bring_the_fonts_that_the_tests_draw_with() -> None:
    assert set(FONTS.values()) <= set(Path("deploy/Dockerfile").read_text().split())
