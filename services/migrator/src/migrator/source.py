"""The source of v5's originals: a web server, a folder or an S3 bucket."""

import asyncio
import errno
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Protocol

import aiohttp
from yarl import URL

from common.cancellation import in_thread
from common.errors import JobFault, NoSuchKey, StorageFault, StorageFull
from common.storage.base import Storage
from common.wiring import s3_account
from migrator.settings import BucketSourceSettings, MigratorSettings, WebSourceSettings

_CHUNK = 1 << 20  # bytes; a photo takes a few writes instead of a hundred
_MOST_BYTES = 1 << 30
_TIMEOUT = aiohttp.ClientTimeout(total=300, sock_connect=10, sock_read=30)
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_GONE = frozenset({404, 410})
_TEMPORARY = frozenset({408, 425, 429})


class OriginalMissing(Exception):
    """The source has no such original."""


class OriginalRefused(Exception):
    """The source does not hand out this original; asking again would not help."""


class SourceFault(Exception):
    """The source failed; asking again may help."""


class Source(Protocol):
    """Originals by their key. Both methods raise OriginalMissing, OriginalRefused and SourceFault."""

    async def fetch(self, key: str, path: Path) -> int:
        """Write the whole original to the file `path`. Returns its size in bytes. Also raises StorageFull."""

    async def size(self, key: str) -> int | None:
        """The size of the original in bytes, or None if the source does not say."""


class WebSource:
    """Originals on a web server."""

    def __init__(self, http: aiohttp.ClientSession, base: str) -> None:
        self._http = http
        self._base = base.rstrip("/")

    async def check(self) -> None:
        """Return if the server answers. Raises JobFault."""
        try:
            async with self._http.head(f"{self._base}/"):
                return
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            shown = URL(self._base).with_user(None)  # this removes the password, too
            raise JobFault(f"V5_IMAGES {shown} cannot be reached: {_short(error)}") from error

    async def fetch(self, key: str, path: Path) -> int:
        """`GET BASE/KEY`. Raises SourceFault for an answer without a length: if it was cut off, it would look whole."""
        async with self._request("GET", key) as answer:
            if answer.content_length is None and "chunked" not in answer.headers.get("Transfer-Encoding", "").lower():
                raise SourceFault("the source does not say how long its answer is: expected Content-Length, or chunks")
            with _translate_full_disk(path), path.open("wb") as file:
                async for chunk in answer.content.iter_chunked(_CHUNK):
                    await in_thread(file.write, chunk)
                    if file.tell() > _MOST_BYTES:
                        raise OriginalRefused(f"it has more than {_MOST_BYTES >> 20} MiB")
                return file.tell()

    async def size(self, key: str) -> int | None:
        """`HEAD BASE/KEY`."""
        async with self._request("HEAD", key) as answer:
            return answer.content_length

    @asynccontextmanager
    async def _request(self, method: str, key: str) -> AsyncIterator[aiohttp.ClientResponse]:
        try:
            async with self._http.request(method, f"{self._base}/{key}") as answer:
                if answer.status in _GONE:
                    raise OriginalMissing(f"the source answers {answer.status}")
                if answer.status in _TEMPORARY or answer.status >= 500:  # noqa: PLR2004 - the server's own faults
                    raise SourceFault(f"the source answers {answer.status}")
                if answer.status != 200:  # noqa: PLR2004 - OK
                    raise OriginalRefused(f"the source answers {answer.status}")
                if "Content-Encoding" in answer.headers:
                    raise OriginalRefused("the source compresses it: expected it as it is")
                yield answer
        except TimeoutError as error:
            raise SourceFault("the source took too long") from error
        except (aiohttp.ClientError, ConnectionError) as error:
            raise SourceFault(f"the source broke off: {_short(error)}") from error


class FolderSource:
    """Originals in a folder."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise JobFault(f"V5_IMAGES {folder} is not there: expected a folder, or http(s)://… or s3://…")
        self._folder = folder

    async def fetch(self, key: str, path: Path) -> int:
        """Copy the file to `path`."""
        with _translate_full_disk(path):
            try:
                await in_thread(shutil.copyfile, self._folder / key, path)
                return path.stat().st_size  # noqa: ASYNC240 - it has just been written
            except FileNotFoundError as error:
                raise OriginalMissing("the folder has no such file") from error
            except OSError as error:
                if error.errno in _FULL:
                    raise
                raise OriginalRefused(error.strerror or str(error)) from error

    async def size(self, key: str) -> int | None:
        """The file's size."""
        try:
            return (await asyncio.to_thread((self._folder / key).stat)).st_size
        except FileNotFoundError as error:
            raise OriginalMissing("the folder has no such file") from error
        except OSError as error:
            raise OriginalRefused(error.strerror or type(error).__name__) from error


class BucketSource:
    """Originals in an S3 bucket."""

    def __init__(self, bucket: Storage, prefix: str) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""

    async def fetch(self, key: str, path: Path) -> int:
        """Fetch the object to `path`."""
        try:
            async with self._bucket.as_file(f"{self._prefix}{key}") as found:
                found.rename(path)
                return path.stat().st_size  # noqa: ASYNC240
        except NoSuchKey as error:
            raise OriginalMissing("the bucket has no such object") from error
        except StorageFull:
            raise
        except StorageFault as error:
            raise SourceFault(str(error)) from error

    async def size(self, key: str) -> int | None:
        """The object's size."""
        try:
            found = await self._bucket.stat(f"{self._prefix}{key}")
        except StorageFault as error:
            raise SourceFault(str(error)) from error
        if found is None:
            raise OriginalMissing("the bucket has no such object")
        return found.bytes


@asynccontextmanager
async def open_source(settings: MigratorSettings) -> AsyncIterator[Source]:
    """The source that V5_IMAGES names. Raises JobFault when it cannot be reached."""
    where = settings.source
    if isinstance(where, WebSourceSettings):
        # Without compression: an SVG that is sent compressed would be stored compressed.
        headers = {"Accept-Encoding": "identity"}
        async with aiohttp.ClientSession(
            timeout=_TIMEOUT, headers=headers, auto_decompress=False, read_bufsize=_CHUNK
        ) as http:
            source = WebSource(http, where.address)
            await source.check()
            yield source
    elif isinstance(where, BucketSourceSettings):
        from common.storage.s3 import S3Storage, connect

        account = s3_account(where.bucket)
        async with connect(account) as client:
            bucket = S3Storage(
                client, account, where.bucket.name, acl="private", cache_control="", temporary=settings.temp_folder
            )
            try:
                await bucket.check()
            except StorageFault as fault:
                raise JobFault(f"V5_IMAGES {settings.v5_images}: {fault}") from fault
            yield BucketSource(bucket, where.key_prefix)
    else:
        yield FolderSource(where.folder)


@contextmanager
def _translate_full_disk(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFull(f"TEMP_FOLDER {path.parent}: {error.strerror}") from error
        raise


def _short(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
