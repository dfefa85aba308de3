"""How far the tests go that search: `make test` takes some of every kind, and `make explore` everything and more."""

import os
from typing import TypeVar

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
