"""A public bucket of very many images in a folder, quickly made: names for a few files, which are all of them."""

import os
from pathlib import Path

from common.images.plan import Plan
from common.images.records import Record, Stage, encode_record

_NAMES = 10_000  # of one file; file systems have a limit
FILES = 5  # of an image: original, record and three thumbnails


def fill(folder: Path, images: int, plan: Plan, *, first: int = 1) -> None:
    """Add so many images to the folder of a bucket, each with an original, a record and its thumbnails."""
    contents = {"": b"photo", ".json": encode_record(Record(configuration=plan.configuration(Stage.BASE)))}
    templates: dict[str, Path] = {}
    for number in range(images):
        if number % _NAMES == 0:
            for ending, content in contents.items():
                template = folder.parent / f"{folder.name}-{first + number}{ending}"
                template.write_bytes(content)
                templates[ending] = template
        name = f"1475660224_{first + number:010}"
        for ending in ("BI.jpg", "MI.jpg", "SI.jpg"):
            os.link(templates[""], folder / f"{name}{ending}")
        os.link(templates[""], folder / f"{name}.jpg")
        os.link(templates[".json"], folder / f"{name}.json")
