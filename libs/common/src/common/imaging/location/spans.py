"""Spans of bytes: begin and end."""

from collections.abc import Iterable, Iterator

Span = tuple[int, int]


def merged(spans: Iterable[Span]) -> Iterator[Span]:
    """The same bytes as disjoint spans in ascending order."""
    done = 0
    for start, end in sorted(spans):
        if end > done:
            yield max(start, done), end
            done = end
