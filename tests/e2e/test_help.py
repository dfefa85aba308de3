"""`--help` of every command of every service says what it does, what it reads, how it exits, and gives an example."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from tests.support.preloaded import SERVICES, run_loaded

from standalone.settings import DEFAULTS

VERSION = re.search(r"^## ([0-9.]+) \(", Path("CHANGELOG.md").read_text(), re.MULTILINE)
SETTINGS = Path("docs/settings.md").read_text()
NEEDS_NO_SETTING = "standalone"
READS_NO_SETTING = [("resizer", "capacity")]


async def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return await run_loaded(*command, environment={"PATH": "/usr/bin", "COLUMNS": "100"}, folder=folder)


async def commands(folder: Path, service: str) -> list[list[str]]:
    """The service itself, and each of its commands, as its own help lists them."""
    listed = (
        (await run(folder, service, "--help")).stdout.partition("positional arguments:")[2].partition("options:")[0]
    )
    found = re.findall(r"^    ([a-z-]+) ", listed, re.MULTILINE)
    assert found, listed
    return [[], *([name] for name in found)]


def part(text: str, name: str) -> str:
    """What stands under the heading."""
    return text.partition(f"\n{name}:\n")[2].partition("\n\n")[0]


@pytest.mark.parametrize("service", SERVICES)
async def test_every_command_says_the_version_of_the_newest_changes(service: str, tmp_path: Path) -> None:
    assert VERSION is not None
    for command in await commands(tmp_path, service):
        said = await run(tmp_path, service, *command, "--version")
        assert (said.returncode, said.stdout) == (0, f"image-backend {VERSION[1]}\n")


@pytest.mark.parametrize("service", SERVICES)
async def test_every_command_explains_itself(service: str, tmp_path: Path) -> None:
    known = set(re.findall(r"^\| `([A-Z0-9_]+)`", SETTINGS, re.MULTILINE))
    for command in await commands(tmp_path, service):
        shown = await run(tmp_path, service, *command, "--help")
        assert shown.returncode == 0
        about = shown.stdout.split("\n\n")[1]
        assert re.fullmatch(r"[A-Z].{20,}\.", about, re.DOTALL), about

        status = part(shown.stdout, "exit status")
        assert re.findall(r"^  (\d)  \S", status, re.MULTILINE)[0] == "0"
        assert "\n  2  " in status
        words = [word for word in shlex.split(part(shown.stdout, "example")) if "=" not in word]
        assert words[: 3 + len(command)] == ["python", "-m", service, *command]
        environment = part(shown.stdout, "environment")
        if (service, *command) in READS_NO_SETTING:
            assert not environment
            assert (await run(tmp_path, *words[2:])).returncode == 0
            continue

        named = set(re.findall(r"\b[A-Z][A-Z0-9]+_[A-Z0-9_]+\b", environment)) - {"PREFIX_ENDPOINT"}
        assert named
        assert named <= known, "only what there is, and the documents tell"
        assert "docs/settings.md has all settings in a table" in environment
        # What it refuses to run without is what it names with its meaning.
        if command or service not in (NEEDS_NO_SETTING, "migrator"):
            refused = await run(tmp_path, service, *command)
            if "arguments are required" in refused.stderr:
                refused = await run(tmp_path, *words[2:])
            missing = set(re.findall(r"([A-Z0-9_]+) is not set", refused.stderr))
            needed = set(re.findall(r"^  ([A-Z0-9_]+): \S", environment, re.MULTILINE))
            assert missing == needed - (set(DEFAULTS) if service == NEEDS_NO_SETTING else set()), refused.stderr
            assert refused.returncode == 2 or service == NEEDS_NO_SETTING

        if words[3:] and service != NEEDS_NO_SETTING:
            tried = await run(tmp_path, *words[2:])
            assert (tried.returncode, "usage:" in tried.stderr) == (2, False), "it lacks settings, and nothing else"
