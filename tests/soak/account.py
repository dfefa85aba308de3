"""What clients were answered, and so what the buckets have to hold once everything is quiet.

One client at a time works on an image. An answer other than 200, or none, leaves open whether the call had its effect:
the image then has several possible states, until the same call is answered 200.
"""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from common.images.names import ImageKey


class Place(StrEnum):
    """Where an image is."""

    PRIVATE = "private"
    PUBLIC = "public"
    DELETED = "deleted"


@dataclass(frozen=True)
class State:
    """Where the image is, and which part of it its versions show (a geometry), or None for all of it."""

    place: Place
    crop: str | None = None


@dataclass(frozen=True)
class Call:
    """A call of the API server about one image: its path, and the crop where it has one."""

    path: str
    crop: str | None = None


@dataclass
class Image:
    """An image that a client knows by name. `digest` is that of the original, where a client knows its bytes."""

    key: ImageKey
    possible: frozenset[State]
    digest: str | None
    unanswered: Call | None = None

    @property
    def state(self) -> State:
        """The one state that the image can be in. Raises ValueError when there are several."""
        (state,) = self.possible
        return state


def effect(call: Call, before: State) -> State:
    """The image's state after the call has had its effect."""
    if call.path in ("/delete", "/rotate"):
        return State(Place.DELETED)
    if call.path == "/recrop":
        return before  # it makes another image
    return State(Place.PUBLIC, call.crop or before.crop)


@dataclass
class Account:
    """All images that clients know of, and how their calls were answered.

    `unnamed` counts the calls that may have made an image whose name no client was told.
    """

    images: dict[ImageKey, Image] = field(default_factory=dict)
    answers: Counter[tuple[str, str]] = field(default_factory=Counter)
    unnamed: Counter[Place] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def uploaded(self, key: ImageKey, digest: str | None) -> Image:
        """An upload was answered with this name."""
        return self._known(Image(key, frozenset({State(Place.PRIVATE)}), digest))

    def made(self, key: ImageKey, crop: str | None, digest: str | None) -> Image:
        """A rotation or a crop was answered with this name."""
        return self._known(Image(key, frozenset({State(Place.PUBLIC, crop)}), digest))

    def answered(self, image: Image, call: Call) -> None:
        """The call was answered 200: it had its effect."""
        image.possible = frozenset(effect(call, before) for before in image.possible)
        image.unanswered = None

    def left_open(self, image: Image, call: Call) -> None:
        """The call was not answered 200: it may have had its effect."""
        image.possible |= {effect(call, before) for before in image.possible}
        image.unanswered = call
        if call.path in ("/rotate", "/recrop"):
            self.unnamed[Place.PUBLIC] += 1

    def _known(self, image: Image) -> Image:
        if image.key in self.images:
            self.violations.append(f"{image.key} was given to two images")
        self.images[image.key] = image
        return image
