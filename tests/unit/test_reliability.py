"""Each fault in the table of reliability has its test."""

import re
from pathlib import Path

FAULTS, UNDER_LOAD, _ = Path("docs/reliability.md").read_text().partition("\n## Under load\n")
ROW = re.compile(r"^\| (?!fault |-)(?P<fault>[^|]+) \| [^|]+ \| (?P<tests>[^|]+) \|$", re.MULTILINE)
TEST = re.compile(r"\[`(?P<name>test_\w+)(?:\[(?P<case>\w+)\])?`\]\(\.\./(?P<path>tests/[\w/]+\.py)\)")


def sources(path: Path) -> str:
    """The test's file, and those of tests/support that it names."""
    text = path.read_text()
    helpers = set(re.findall(r"tests\.support\.(\w+)", text))
    return "\n".join([text, *(Path(f"tests/support/{name}.py").read_text() for name in sorted(helpers))])


def test_each_fault_has_a_test_that_exists() -> None:
    rows = ROW.findall(FAULTS)
    assert UNDER_LOAD
    assert len(rows) >= 45
    for fault, tests in rows:
        found = list(TEST.finditer(tests))
        assert found, fault
        assert ", ".join(test[0] for test in found) == tests, fault
        for test in found:
            text = sources(Path(test["path"]))
            assert re.search(rf"^(?:async )?def {test['name']}\(", text, re.MULTILINE), test[0]
            assert test["case"] is None or re.search(rf"\b{test['case']}\b", text), test[0]


def test_no_fault_is_listed_twice() -> None:
    tests = [tests for _, tests in ROW.findall(FAULTS)]
    assert len(tests) == len(set(tests))
    assert len(tests) == sum(line.startswith("| ") for line in FAULTS.splitlines()) - FAULTS.count("\n| fault |")
