"""The lock files agree: a package has the same version and the same hashes in every lock that has it."""

import re
from collections import defaultdict
from pathlib import Path

LOCKS = [*sorted(Path().glob("*/*/requirements.lock")), Path("tests/requirements.lock")]

Pin = tuple[str, frozenset[str]]  # version and hashes


def pins(lock: Path) -> dict[str, Pin]:
    """The version and the hashes of each package in the lock."""
    packages = re.split(r"^(?=\S)", lock.read_text(), flags=re.MULTILINE)[1:]
    found = {}
    for package in packages:
        requirement, *hashes = (line.strip(" \\") for line in package.splitlines())
        name, _, version = requirement.partition(" ; ")[0].partition("==")
        assert version, f"{lock}: {requirement!r} is not NAME==VERSION"
        found[name] = (version, frozenset(hashes))
    return found


def test_a_package_is_the_same_in_every_lock() -> None:
    expected = {
        *(f"services/{name}" for name in ("ingest", "resizer", "publisher", "migrator")),
        "deploy/standalone",
        "tests",
    }
    assert {str(lock.parent) for lock in LOCKS} == expected
    places: dict[str, dict[Pin, list[str]]] = defaultdict(lambda: defaultdict(list))
    for lock in LOCKS:
        for name, pin in pins(lock).items():
            assert pin[1], f"{lock}: {name} has no hashes"
            places[name][pin].append(str(lock.parent))
    differing = {
        name: [
            f"{version} with {len(hashes)} hashes in {', '.join(where)}" for (version, hashes), where in by_pin.items()
        ]
        for name, by_pin in places.items()
        if len(by_pin) > 1
    }
    assert not differing, f"`make lock` makes them agree: {differing}"
