"""How far the tests go that search: `make test` takes some of every kind, and `make explore` everything and more."""

import os
import sys
from pathlib import Path
from typing import TypeVar

from hypothesis import HealthCheck, settings
from hypothesis.configuration import set_hypothesis_home_dir

T = TypeVar("T")

_SEED = os.environ.get("EXPLORE_SEED")


def seeds(few: int, many: int) -> range:
    """The first `few` seeds; for `make explore` so `many`, and others for each EXPLORE_SEED."""
    if _SEED is None:
        return range(few)
    first = int(_SEED) * many
    return range(first, first + many)


def some(everything: T, few: T) -> T:
    """The `few`; for `make explore` everything."""
    return few if _SEED is None else everything


def configure_hypothesis() -> None:
    """Have hypothesis try the same examples each time; for `make explore` more, and others for each EXPLORE_SEED.

    No time counts: a machine may be busy. What hypothesis works out about Unicode stays in the environment.
    """
    set_hypothesis_home_dir(Path(sys.prefix) / "hypothesis")
    exploring = _SEED is not None
    settings.register_profile(
        "tests",
        max_examples=1000 if exploring else 40,
        derandomize=not exploring,
        print_blob=exploring,
        database=None,
        deadline=None,
        suppress_health_check=(HealthCheck.too_slow, HealthCheck.function_scoped_fixture),
    )
    settings.load_profile("tests")
