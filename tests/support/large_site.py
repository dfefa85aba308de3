"""A bucket of very many images, quickly made: in a folder, names for a few files, which are all of them."""

import os
from pathlib import Path

from common.cancellation import together
from common.images.plan import Plan
from common.images.records import Record, Stage, encode_record
from common.storage.base import Storage

_NAMES = 10_000  # of one file; file systems have a limit
FILES = 5  # of an image: original, record and three thumbnails
_VARIANTS = ("BI.jpg", "MI.jpg", "SI.jpg")
_AT_ONCE = 32  # images


def name_of(number: int) -> str:
    """The name of the image of this number, which counts from 1."""
    return f"1475660224_{number:010}"


def fill(folder: Path, images: int, plan: Plan, *, first: int = 1) -> None:
    """Add so many images to the folder of a bucket, each with an original, a record and its thumbnails."""
    contents = {"": b"photo", ".json": _record(plan)}
    templates: dict[str, Path] = {}
    for number in range(images):
        if number % _NAMES == 0:
            for ending, content in contents.items():
                template = folder.parent / f"{folder.name}-{first + number}{ending}"
                template.write_bytes(content)
                templates[ending] = template
        name = name_of(first + number)
        for ending in _VARIANTS:
            os.link(templates[""], folder / f"{name}{ending}")
        os.link(templates[""], folder / f"{name}.jpg")
        os.link(templates[".json"], folder / f"{name}.json")


async def store(bucket: Storage, images: int, plan: Plan, *, first: int = 1) -> None:
    """Add so many images to a bucket of any kind, object by object."""
    record = _record(plan)

    async def one(name: str) -> None:
        for ending in (*_VARIANTS, ".jpg"):
            await bucket.put(f"{name}{ending}", b"photo")
        await bucket.put(f"{name}.json", record)

    for start in range(first, first + images, _AT_ONCE):
        await together(*(one(name_of(number)) for number in range(start, min(start + _AT_ONCE, first + images))))


def _record(plan: Plan) -> bytes:
    return encode_record(Record(configuration=plan.configuration(Stage.BASE)))
