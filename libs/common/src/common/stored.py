"""What is stored about an image, besides its pixels."""

import structlog

from common.errors import NoSuchKey
from common.images.names import ImageKey
from common.images.records import Record, Stage, decode_record, record_key
from common.images.sizes import Crop
from common.storage import Storage

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
