"""The library's exceptions, in our own words."""

import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from botocore.exceptions import BotoCoreError, ClientError

from common.errors import KeyTaken, NoSuchKey, StorageFault, StorageFull

NO_ACL = "AccessControlListNotSupported"
_TAKEN = frozenset({"PreconditionFailed", "ConditionalRequestConflict"})


class Unsupported(StorageFault):
    """The store does not know an ACL or a condition that was asked for."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


@asynccontextmanager
async def translated(bucket: str, operation: str, key: str) -> AsyncIterator[None]:
    """Raise the library's exceptions as ours: NoSuchKey, KeyTaken, Unsupported, StorageFull or StorageFault."""
    where = f"S3 bucket {bucket}: {operation} {key}".rstrip()
    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in ("NoSuchKey", "404"):
            raise NoSuchKey(key) from error
        if code in _TAKEN:
            raise KeyTaken(key) from error
        message = error.response.get("Error", {}).get("Message", "")
        if code in (NO_ACL, "NotImplemented"):
            raise Unsupported(f"{where}: {code} {message}".rstrip(), code) from error
        raise StorageFault(f"{where}: {code} {message}".rstrip()) from error
    except (BotoCoreError, aiohttp.ClientError, OSError, TimeoutError) as error:
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)  # TEMP_FOLDER is
        raise (StorageFull if full else StorageFault)(f"{where}: {error or type(error).__name__}") from error
