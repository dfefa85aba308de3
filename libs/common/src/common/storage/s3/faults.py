"""Translating the library's exceptions to those of `common.errors`."""

import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

import aiohttp
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

from common.errors import KeyTaken, NoSuchKey, StorageFault, StorageFull
from common.storage.s3.account import S3Account

NO_ACL = "AccessControlListNotSupported"
_TAKEN = frozenset({"PreconditionFailed", "ConditionalRequestConflict"})
_REFUSED = frozenset({"401", "403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "Forbidden"})


class Bucket(Protocol):
    """A bucket's name, and its account."""

    bucket: str
    account: S3Account


class Unsupported(StorageFault):
    """The store does not support the ACL or the condition of a request."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


@asynccontextmanager
async def translate_errors(bucket: Bucket, operation: str, key: str) -> AsyncIterator[None]:
    """Raise the library's exceptions as ours: NoSuchKey, KeyTaken, Unsupported, StorageFull or StorageFault."""
    where = f"S3 bucket {bucket.bucket}: {operation} {key}".rstrip()
    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        # An answer to HEAD has no body that could say more. Elsewhere a bare 404 comes from a proxy before the store.
        if code == "NoSuchKey" or (code == "404" and operation.startswith("Head")):
            raise NoSuchKey(key) from error
        if code in _TAKEN:
            raise KeyTaken(key) from error
        message = error.response.get("Error", {}).get("Message", "")
        if code in (NO_ACL, "NotImplemented"):
            raise Unsupported(f"{where}: {code} {message}".rstrip(), code) from error
        by = f"; the credentials are {bucket.account.variables}" if code in _REFUSED else ""
        raise StorageFault(f"{where}: {code} {message}".rstrip() + by) from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise StorageFault(f"{where}: no credentials; expected {bucket.account.variables}") from error
    except (BotoCoreError, aiohttp.ClientError, OSError, TimeoutError) as error:
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)  # TEMP_FOLDER is
        raise (StorageFull if full else StorageFault)(f"{where}: {str(error) or type(error).__name__}") from error
