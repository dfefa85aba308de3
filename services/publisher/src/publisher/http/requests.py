"""Reading and checking the fields of requests. Each function raises RequestRefused that says what was expected."""

import hmac
from collections.abc import Iterable
from typing import get_args

from common.http import RequestRefused
from common.http.api.calls import MOST_NAMES
from common.images.names import BadName, ImageKey
from common.images.sizes import Crop
from common.imaging.rotate import Rotation


def check_secret(authorization: Iterable[str], given: dict[str, object], secret: str) -> None:
    """Raise RequestRefused: 401 without a secret, 403 for a wrong one. The comparison takes constant time.

    The secret is in the headers `authorization` or in the field `secret`. Where both are given, both have to be right.
    """
    bearers = _bearers(authorization)
    field = given.get("secret")
    if not bearers and not (isinstance(field, str) and field):
        raise RequestRefused(401, "no secret: expected 'Authorization: Bearer SECRET', or the field 'secret', once")
    sent: list[object] = bearers if field in (None, "") else [*bearers, field]
    # A list, not a generator: every secret is compared, so that the time does not tell which one is wrong.
    matches = [isinstance(one, str) and _is_same(one, secret) for one in sent]
    if not all(matches):
        raise RequestRefused(403, "wrong secret")


def _bearers(authorization: Iterable[str]) -> list[object]:
    """The credentials of the scheme Bearer. Other schemes are for proxies before the service."""
    split = (value.strip().partition(" ") for value in authorization)
    return [text.strip() for scheme, _, text in split if scheme.lower() == "bearer" and text.strip()]


def _is_same(sent: str, secret: str) -> bool:
    return hmac.compare_digest(sent.encode(errors="replace"), secret.encode())


def image(given: dict[str, object]) -> ImageKey:
    """The image that `filename` names."""
    filename = given.get("filename")
    if not isinstance(filename, str):
        raise RequestRefused(400, "expected the field 'filename', once, with the name of an upload")
    return _parsed(filename)


def images(given: dict[str, object]) -> list[ImageKey]:
    """The images that `filenames` names: the field is one name, several fields, or a list of names."""
    filenames = given.get("filenames")
    names = [filenames] if isinstance(filenames, str) else filenames
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise RequestRefused(400, "expected the field 'filenames': one name, several, or a list of names")
    if len(names) > MOST_NAMES:
        raise RequestRefused(400, f"{len(names)} filenames: expected {MOST_NAMES} at most")
    return [_parsed(name) for name in names]


def crop(given: dict[str, object]) -> Crop | None:
    """The crop that `crop` asks for, or None without one."""
    text = given.get("crop")
    if text is None or text == "":
        return None
    if not isinstance(text, str):
        raise RequestRefused(400, "crop: expected a geometry WxH+X+Y, once")
    try:
        # In a form, an unescaped + means a space. A geometry has no spaces, so that each was a +.
        return Crop.requested(text.strip().replace(" ", "+"))
    except ValueError as error:
        raise RequestRefused(400, str(error)) from error


def rotation(given: dict[str, object]) -> Rotation:
    """The rotation in degrees, clockwise; 90 without one."""
    sent = given.get("rotation")
    if sent is None or sent == "":
        return 90
    for known in get_args(Rotation):
        if (sent == known and not isinstance(sent, bool | float)) or sent == str(known):
            degrees: Rotation = known
            return degrees
    raise RequestRefused(400, f"rotation {str(sent)[:40]!r}: expected 90, -90 or 180")


def _parsed(name: str) -> ImageKey:
    try:
        return ImageKey.parse(name)
    except BadName as error:
        raise RequestRefused(400, str(error)) from error
