"""What is stored about an image, besides its pixels."""

import structlog

from common.cancellation import together
from common.errors import NoSuchKey
from common.images.names import ORIGINALS, ImageKey
from common.images.records import Record, Stage, decode_record, record_key
from common.images.sizes import Crop
from common.storage.base import Buckets, Storage

log = structlog.get_logger()


async def read_crop(active: Storage, image: ImageKey) -> Crop | None:
    """Which part of the image its versions show, or None where they show all of it. Raises StorageFault."""
    try:
        return Crop.parse((await active.get(image.crop)).decode().strip())
    except NoSuchKey:
        return None
    except ValueError as error:
        log.error("a crop cannot be read", key=image.crop, reason=str(error))
        return None


async def read_record(bucket: Storage, image: ImageKey, stage: Stage) -> Record | None:
    """The stage's record in this bucket, or None where there is none. Raises StorageFault.

    One that cannot be read counts as none: the image is then rendered again, which writes a new one.
    """
    key = record_key(image, stage)
    try:
        return decode_record(await bucket.get(key))
    except NoSuchKey:
        return None
    except ValueError as error:
        log.error("a record cannot be read", key=key, reason=str(error).splitlines()[0])
        return None


async def find_original(name: str, *, buckets: Buckets) -> ImageKey | None:
    """The original of this name, whatever its format and wherever it is, or None where it is gone from both buckets."""
    endings = [spelt for ending in ORIGINALS for spelt in (ending.lower(), ending.upper(), ending.capitalize())]
    images = [ImageKey(name, ending) for ending in endings]
    there = await together(*(_is_there(image, buckets) for image in images))
    return next((image for image, is_there in zip(images, there, strict=True) if is_there), None)


async def _is_there(image: ImageKey, buckets: Buckets) -> bool:
    # In this order: an activation moves it from the first to the second, and never back.
    return await buckets.incoming.stat(str(image)) is not None or await buckets.active.stat(str(image)) is not None
