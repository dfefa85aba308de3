"""`python deploy/release.py TAG`: prints what is new in the version of the tag, or says why it cannot be released.

It looks at the packages, the chart and the changes in the current folder. Exit status 1: not to be released.
"""

import re
import sys
import tomllib
from pathlib import Path

_HEADING = re.compile(r"^## (?P<version>\S+) \((?P<date>.+)\)$", re.MULTILINE)


def notes(tag: str) -> str:
    """The changes of the tag's version. Raises ValueError where packages, chart or changes are not of that version."""
    for name, version in _versions().items():
        if tag != f"v{version}":
            raise ValueError(f"the tag is {tag}, and {name} has version {version}: expected the tag v{version}")
    headings = list(_HEADING.finditer(Path("CHANGELOG.md").read_text()))
    if not headings or f"v{headings[0]['version']}" != tag:
        raise ValueError(f"CHANGELOG.md has no entry for {tag}: expected it first, as ## {tag[1:]} (YYYY-MM-DD)")
    if re.fullmatch(r"\d{4}-\d\d-\d\d", headings[0]["date"]) is None:
        raise ValueError(f"CHANGELOG.md calls {tag} {headings[0]['date']}: expected the date of the release")
    end = headings[1].start() if len(headings) > 1 else None
    changes = headings[0].string[headings[0].end() : end].strip()
    if not changes:
        raise ValueError(f"CHANGELOG.md says nothing of {tag}: expected what is new")
    return changes


def _versions() -> dict[str, str]:
    """The version of each package and of the chart, by the file that has it."""
    files = [Path("libs/common/pyproject.toml"), *sorted(Path().glob("services/*/pyproject.toml"))]
    files.append(Path("deploy/standalone/pyproject.toml"))
    found = {str(file): tomllib.loads(file.read_text())["project"]["version"] for file in files}
    chart = Path("deploy/kubernetes/Chart.yaml")
    (found[str(chart)],) = re.findall(r"^version: (\S+)$", chart.read_text(), re.MULTILINE)
    return found


def main() -> None:
    """Print the changes, or the reason."""
    if len(sys.argv) != 2:  # noqa: PLR2004 - the program and its only argument
        sys.exit(__doc__)
    try:
        print(notes(sys.argv[1]))
    except ValueError as error:
        sys.exit(f"not to be released: {error}")


if __name__ == "__main__":
    main()
