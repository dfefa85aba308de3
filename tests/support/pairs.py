"""Choosing few of many combinations."""

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations, product
from typing import Any


def all_pairs(choices: Mapping[str, Sequence[Any]], allowed: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
    """Some of the allowed combinations, so that each two values that occur together in any do in one of them."""
    names = list(choices)
    everything = [dict(zip(names, values, strict=True)) for values in product(*choices.values())]
    candidates = [(found, _pairs(found)) for found in everything if allowed(found)]
    missing = set().union(*(pairs for _, pairs in candidates))
    chosen = []
    while missing:
        best, pairs = max(candidates, key=lambda candidate: len(candidate[1] & missing))
        chosen.append(best)
        missing -= pairs
    return chosen


def _pairs(found: Mapping[str, Any]) -> frozenset[tuple[Any, ...]]:
    return frozenset((*one, *other) for one, other in combinations(found.items(), 2))
