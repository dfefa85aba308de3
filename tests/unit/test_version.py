"""There is one version: that of the newest changes, of each package, and of the chart."""

import re
import tomllib
from pathlib import Path

from ruamel.yaml import YAML

HEADING = re.compile(r"^## (\d+\.\d+\.\d+) \((?:unreleased|\d{4}-\d\d-\d\d)\)$", re.MULTILINE)


def test_packages_and_chart_have_the_version_of_the_newest_changes() -> None:
    newest = HEADING.findall(Path("CHANGELOG.md").read_text())[0]
    packages = ["libs/common", "deploy/standalone", *(str(path) for path in Path("services").iterdir())]
    found = {name: tomllib.loads(Path(name, "pyproject.toml").read_text())["project"]["version"] for name in packages}
    found["chart"] = YAML(typ="safe").load(Path("deploy/kubernetes/Chart.yaml"))["version"]
    assert found == dict.fromkeys(found, newest)
