"""A tag is released only where packages, chart and changes have its version, and the changes a date."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHANGES = """\
# Changes

## 2.1.0 (2026-11-28)

### For operators

- Something new.

## 2.0.0 (2026-10-01)

- Something old.
"""
PROJECTS = ("libs/common", "services/ingest", "services/resizer", "deploy/standalone")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Packages, chart and changes of version 2.1.0."""
    for project in PROJECTS:
        (tmp_path / project).mkdir(parents=True)
        (tmp_path / project / "pyproject.toml").write_text('[project]\nversion = "2.1.0"\n')
    (tmp_path / "deploy" / "kubernetes").mkdir()
    (tmp_path / "deploy" / "kubernetes" / "Chart.yaml").write_text("name: any\nversion: 2.1.0\n")
    (tmp_path / "CHANGELOG.md").write_text(CHANGES)
    shutil.copy("deploy/release.py", tmp_path / "deploy")
    return tmp_path


def release(repository: Path, tag: str) -> tuple[int, str]:
    """The exit status, and what is printed."""
    command = [sys.executable, "deploy/release.py", tag]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr if done.returncode else done.stdout


def test_the_changes_of_the_version_and_no_others(repository: Path) -> None:
    assert release(repository, "v2.1.0") == (0, "### For operators\n\n- Something new.\n")


def test_the_first_version_has_no_older_one(repository: Path) -> None:
    (repository / "CHANGELOG.md").write_text(CHANGES.partition("## 2.0.0")[0])
    assert release(repository, "v2.1.0") == (0, "### For operators\n\n- Something new.\n")


@pytest.mark.parametrize("tag", ["v2.2.0", "v2.0.0", "2.1.0", "v2.1", "v2.1.0-rc1"])
def test_a_tag_of_another_version_is_refused(repository: Path, tag: str) -> None:
    status, said = release(repository, tag)
    assert status == 1
    found = f"the tag is {tag}, and libs/common/pyproject.toml has version 2.1.0"
    assert said == f"not to be released: {found}: expected the tag v2.1.0\n"


@pytest.mark.parametrize(
    "file", [*(f"{project}/pyproject.toml" for project in PROJECTS), "deploy/kubernetes/Chart.yaml"]
)
def test_one_package_of_another_version_is_named(repository: Path, file: str) -> None:
    path = repository / file
    path.write_text(path.read_text().replace("2.1.0", "2.0.0"))
    status, said = release(repository, "v2.1.0")
    assert status == 1
    assert f"{file} has version 2.0.0: expected the tag v2.0.0" in said


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ("# Changes\n", "CHANGELOG.md has no entry for v2.1.0: expected it first, as ## 2.1.0 (YYYY-MM-DD)"),
        (CHANGES.replace("2.1.0", "2.2.0"), "CHANGELOG.md has no entry for v2.1.0"),
        (CHANGES.replace("2026-11-28", "unreleased"), "CHANGELOG.md calls v2.1.0 unreleased: expected the date"),
        (
            "# Changes\n\n## 2.1.0 (2026-11-28)\n\n## 2.0.0 (2026-10-01)\n\n- Old.\n",
            "says nothing of v2.1.0: expected what",
        ),
    ],
)
def test_changes_that_are_not_ready_are_refused(repository: Path, changes: str, reason: str) -> None:
    (repository / "CHANGELOG.md").write_text(changes)
    status, said = release(repository, "v2.1.0")
    assert status == 1
    assert reason in said


def test_what_is_being_worked_on_is_not_released() -> None:
    """The first entry of this repository has a date only in the commit of a release."""
    heading = Path("CHANGELOG.md").read_text().partition("\n## ")[2].partition("\n")[0]
    version, _, date = heading.partition(" ")
    status, _ = release(Path(), f"v{version}")
    assert status == (1 if date == "(unreleased)" else 0)
