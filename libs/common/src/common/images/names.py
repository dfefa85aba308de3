"""Names and keys.

An image is known by the key of its original, `NAME.EXT`. `NAME` is the second it was uploaded in, an underscore and
digits: ten from a cryptographic source in new names, one to ten in old ones.
"""

import re
import secrets
import time
from dataclasses import dataclass
from typing import Any, Self

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from common.images.formats import Format

MAX_KEY_LENGTH = 30  # what the site's API accepts
# Without re.ASCII, `s` and `i` are also some letters beyond ASCII where case does not count.
_KEY = re.compile(r"(?P<name>[0-9]+_[0-9]{1,10})\.(?P<extension>(?i:jpg|png|gif|svg))", re.ASCII)
# The same as a JSON schema, for OpenAPI and AsyncAPI.
KEY_SCHEMA: dict[str, Any] = {
    "type": "string",
    "maxLength": MAX_KEY_LENGTH,
    "pattern": r"^[0-9]+_[0-9]{1,10}\.([jJ][pP][gG]|[pP][nN][gG]|[gG][iI][fF]|[sS][vV][gG])$",
    "examples": ["1475660224_0882910455.jpg"],
}
_OBJECT = re.compile(
    r"(?P<name>[0-9]+_[0-9]{1,10})(?P<rest>[A-Za-z_-][A-Za-z0-9_-]*|\.modern(?=\.json))?(?P<ending>\.[A-Za-z]+)"
)


TOMBSTONES = "tombstones/"  # the prefix of tombstones, in *incoming*
CROP = ".crop"  # the ending of the object that holds an image's crop

CONTENT_TYPES = {
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".gif": "image/gif",
    ".svg": "image/svg+xml",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".json": "application/json",
    CROP: "text/plain",
}


def content_type(key: str) -> str:
    """The content type of the object under `key`, told by its extension alone."""
    return CONTENT_TYPES.get(key[key.rfind(".") :].lower(), "application/octet-stream")


class BadName(ValueError):
    """Not the name of an image."""


@dataclass(frozen=True, order=True)
class ImageKey:
    """The key of an original: `1475660224_0882910455.jpg`. The extension is kept as it is: some old ones are `JPG`."""

    name: str
    extension: str

    def __str__(self) -> str:
        return f"{self.name}.{self.extension}"

    @property
    def format(self) -> Format:
        """The format that the extension names."""
        return Format(self.extension.lower())

    @classmethod
    def parse(cls, text: str) -> Self:
        """The key in `text`. Raises BadName, saying what was expected."""
        match = _KEY.fullmatch(text) if len(text) <= MAX_KEY_LENGTH else None
        if match is None:
            shown = text if len(text) <= MAX_KEY_LENGTH * 2 else f"{text[: MAX_KEY_LENGTH * 2]}…"
            raise BadName(
                f"{shown!r} is not the name of an image: expected SECONDS_DIGITS.jpg, .png, .gif or .svg "
                f"with 1 to 10 digits after the underscore, such as 1475660224_0882910455.jpg"
            )
        return cls(match["name"], match["extension"])

    @classmethod
    def new(cls, image_format: Format) -> Self:
        """A fresh key: the current second, and ten digits that nobody can guess."""
        return cls(f"{int(time.time())}_{secrets.randbelow(10**10):010d}", image_format)

    @property
    def variant_format(self) -> Format:
        """The format of the base variants: the original's own, and JPEG for an SVG."""
        return Format.JPG if self.format is Format.SVG else self.format

    def variant_key(self, suffix: str, variant_format: Format | None = None) -> str:
        """The key of the variant with this suffix. Without a format it is the base variant."""
        if variant_format in (None, self.format):
            return f"{self.name}{suffix}.{Format.JPG if self.format is Format.SVG else self.extension}"
        return f"{self.name}{suffix}.{variant_format}"

    @property
    def crop_key(self) -> str:
        """The key of the image's crop, in *active*."""
        return f"{self.name}{CROP}"

    @property
    def tombstone_key(self) -> str:
        """The key of the image's tombstone, in *incoming*."""
        return f"{TOMBSTONES}{self.name}"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """In events and records a key is a string."""

        def read(value: str) -> ImageKey:
            return cls.parse(value)

        return core_schema.no_info_plain_validator_function(
            lambda value: value if isinstance(value, cls) else read(str(value)),
            serialization=core_schema.to_string_ser_schema(),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return KEY_SCHEMA


def is_original(key: str) -> bool:
    """Whether this is spelt as the key of an original."""
    return len(key) <= MAX_KEY_LENGTH and _KEY.fullmatch(key) is not None


def image_name_of(key: str) -> str | None:
    """The NAME of the image that an object belongs to, or None: `123_45BI.jpg` is of `123_45`, not of `123_4`."""
    match = _OBJECT.fullmatch(key)
    return match["name"] if match and match["ending"].lower() in CONTENT_TYPES else None
