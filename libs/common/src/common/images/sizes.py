"""`RESIZING_CONFIG`: which smaller versions there are.

The setting is JSON, a list of `{"suffix": "BI", "convert": [...]}` where `convert` holds ImageMagick arguments. It is
read once, at start, into typed sizes; what cannot be honoured stops the start and is named.
"""

import hashlib
import json
import re
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

# Part of the configuration's hash: raise it when the same settings give other pictures than before.
RECIPE = 1

DEFAULT = (
    ("BI", ("-resize", "1500x1500>", "-quality", "90")),
    ("MI", ("-resize", "400x400>", "-quality", "90")),
    ("SI", ("-resize", "200x200^", "-gravity", "center", "-extent", "200x200", "-quality", "90")),
)

_GEOMETRY = re.compile(r"(?P<width>[0-9]{1,5})x(?P<height>[0-9]{1,5})(?P<flag>[>^!]?)")
_SUFFIX = re.compile(r"[A-Za-z_-][A-Za-z0-9_-]{0,15}")


class Fit(StrEnum):
    """How an image is fitted to a box, spelt as ImageMagick's geometry flag."""

    INSIDE = ""
    ONLY_SHRINK = ">"
    COVER = "^"
    EXACT = "!"


class Size(BaseModel):
    """One smaller version: fitted to `width` × `height` pixels, then, with `extent`, cut or padded to those."""

    model_config = ConfigDict(frozen=True)

    suffix: str
    width: Annotated[int, Field(gt=0)]
    height: Annotated[int, Field(gt=0)]
    fit: Fit
    extent: tuple[int, int] | None = None
    quality: Annotated[int, Field(ge=1, le=100)] = 90

    def scaled(self, width: int, height: int) -> tuple[int, int]:
        """The dimensions of a `width` × `height` image after fitting, equal to ImageMagick's."""
        if self.fit is Fit.EXACT:
            return self.width, self.height
        across, down = self.width / width, self.height / height
        scale = max(across, down) if self.fit is Fit.COVER else min(across, down)
        if self.fit is Fit.ONLY_SHRINK and scale >= 1:
            return width, height
        return max(1, int(width * scale + 0.5)), max(1, int(height * scale + 0.5))


def parse_sizes(value: object) -> tuple[Size, ...]:
    """The sizes in the setting, or the default ones for None. Raises ValueError naming what cannot be honoured."""
    if value is None:
        return tuple(_size(suffix, list(arguments)) for suffix, arguments in DEFAULT)
    if not isinstance(value, str):
        raise ValueError("expected JSON")  # noqa: TRY004 - pydantic reports ValueError alone
    try:
        entries = json.loads(value)
    except json.JSONDecodeError as error:
        raise ValueError(f"expected JSON, found {error}") from error
    if not isinstance(entries, list) or not entries:
        raise ValueError('expected a list of {"suffix": …, "convert": […]}')
    sizes = tuple(_entry(entry) for entry in entries)
    suffixes = [size.suffix for size in sizes]
    if len(set(suffixes)) < len(suffixes):
        raise ValueError(f"a suffix stands twice in {suffixes}")
    return sizes


def _entry(entry: object) -> Size:
    if not isinstance(entry, dict) or set(entry) != {"suffix", "convert"}:
        raise ValueError(f'expected {{"suffix": …, "convert": […]}}, found {entry!r}')
    suffix, arguments = entry["suffix"], entry["convert"]
    if not isinstance(suffix, str) or not _SUFFIX.fullmatch(suffix):
        raise ValueError(f"suffix {suffix!r}: expected letters, digits, - or _, not beginning with a digit")
    if not isinstance(arguments, list) or not all(isinstance(argument, str) for argument in arguments):
        raise ValueError(f"convert of {suffix}: expected a list of strings, found {arguments!r}")
    return _size(suffix, arguments)


def _size(suffix: str, arguments: list[str]) -> Size:
    values = dict(zip(arguments[::2], arguments[1::2], strict=False))
    if len(arguments) % 2 or len(values) * 2 != len(arguments):
        raise ValueError(f"convert of {suffix}: expected options with a value each, once, found {arguments}")
    unknown = set(values) - {"-resize", "-gravity", "-extent", "-quality"}
    if unknown:
        raise ValueError(f"convert of {suffix}: {', '.join(sorted(unknown))} cannot be honoured")
    if "-resize" not in values:
        raise ValueError(f"convert of {suffix}: expected -resize")
    width, height, flag = _geometry(suffix, values["-resize"])
    extent = None
    if "-extent" in values:
        across, down, extra = _geometry(suffix, values["-extent"])
        if extra or values.get("-gravity", "").lower() != "center":
            raise ValueError(f"convert of {suffix}: -extent takes WxH, and -gravity center before it")
        extent = across, down
    return Size(
        suffix=suffix,
        width=width,
        height=height,
        fit=Fit(flag),
        extent=extent,
        quality=_quality(suffix, values.get("-quality", "90")),
    )


def _geometry(suffix: str, text: str) -> tuple[int, int, str]:
    match = _GEOMETRY.fullmatch(text)
    if match is None or not int(match["width"]) or not int(match["height"]):
        raise ValueError(f"convert of {suffix}: geometry {text!r}: expected WxH, with >, ^ or ! after it")
    return int(match["width"]), int(match["height"]), match["flag"]


def _quality(suffix: str, text: str) -> int:
    if not text.isdecimal() or int(text) not in range(1, 101):
        raise ValueError(f"convert of {suffix}: -quality {text!r}: expected 1 to 100")
    return int(text)


def configuration(sizes: tuple[Size, ...]) -> str:
    """The hash that records carry: the same for the same variants, another when they would look different."""
    canonical = json.dumps([RECIPE, *(size.model_dump(mode="json") for size in sizes)], sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]
