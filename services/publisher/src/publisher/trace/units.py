"""Seconds and bytes, for a person to read."""

_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def duration(seconds: float) -> str:
    """The two largest units, such as `2 d 3 h` or `45 s`. Less than 0 is `0 s`: a store's clock may be ahead."""
    left = max(round(seconds), 0)
    parts = []
    for size, unit in _UNITS:
        number, left = divmod(left, size)
        if number:
            parts.append(f"{number} {unit}")
        elif parts:
            break
    return " ".join(parts[:2]) or "0 s"
