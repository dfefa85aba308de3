"""EXIF's orientations: how a stored image has to be turned to be upright.

https://www.cipa.jp/std/documents/e/DC-X008-Translation-2019-E.pdf, 4.6.4 A, tag 274.
"""

from typing import NamedTuple

UPRIGHT = 1  # the orientation of an image that is shown as it is stored


class Turn(NamedTuple):
    """What makes a stored image upright: first mirror it left to right, then rotate it clockwise, in degrees."""

    mirrored: bool
    degrees: int


TURNS = {
    1: Turn(mirrored=False, degrees=0),
    2: Turn(mirrored=True, degrees=0),
    3: Turn(mirrored=False, degrees=180),
    4: Turn(mirrored=True, degrees=180),
    5: Turn(mirrored=True, degrees=270),
    6: Turn(mirrored=False, degrees=90),
    7: Turn(mirrored=True, degrees=90),
    8: Turn(mirrored=False, degrees=270),
}

# The orientations in which the upright image is as wide as the stored image is high.
SIDEWAYS = frozenset(orientation for orientation, turn in TURNS.items() if turn.degrees in (90, 270))


def orientation_after_rotation(orientation: int, rotation: int) -> int:
    """The EXIF orientation after the upright image was rotated clockwise. `rotation` is in degrees: 90, -90 or 180."""
    mirrored, degrees = TURNS[orientation]
    after = Turn(mirrored, (degrees + rotation) % 360)
    return next(number for number, turn in TURNS.items() if turn == after)
