"""The account of a bucket, and a client for it."""

import base64
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore import UNSIGNED
from botocore.utils import determine_content_length

NO_SIGNATURE = "none"

_CONNECT_SECONDS = 5
_SILENCE_SECONDS = 30  # that a store may let pass before it answers; a request is then sent again, twice
_LOWEST_RATE = 100_000  # bytes a second that a store has to take
# Bytes of a body that a store may refuse before it is sent. AWS's own clients begin to ask there, too:
# https://docs.aws.amazon.com/sdk-for-kotlin/api/latest/s3/, continueHeaderThresholdBytes.
_ASK_BEFORE = 2 << 20


@dataclass(frozen=True)
class S3Account:
    """The server and the credentials of a bucket. What is None comes from the library's usual sources.

    `prefix` is the beginning of the variables that hold them.
    """

    endpoint: str | None = None
    access_key_id: str | None = None
    secret_key: str | None = None
    region: str | None = None
    signature_version: str = "s3v4"
    prefix: str | None = field(default=None, compare=False)

    @property
    def variables(self) -> str:
        """The variables with the credentials."""
        if self.prefix is None:
            return "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or what else AWS has for them"
        return f"{self.prefix}_ACCESS_KEY_ID and {self.prefix}_SECRET_KEY"

    def __repr__(self) -> str:
        return f"S3Account({self.endpoint or 'default'}, {self.access_key_id or 'default'})"


def write_seconds(size: int) -> float:
    """How many seconds a write of so many bytes may take, with its repeats.

    The library waits without end for a store that takes no body: it counts the silence from the end of the body.
    """
    return 4 * _SILENCE_SECONDS + size / _LOWEST_RATE


@cache
def _descriptions() -> object:
    """What the library knows of S3's calls, from its files: to read them takes most of a client's time to be made."""
    return get_session().get_component("data_loader")


@asynccontextmanager
async def connect(account: S3Account) -> AsyncIterator[Any]:
    """A client for the account. It connects when it is first used, so the server need not be up yet."""
    config = AioConfig(
        signature_version=UNSIGNED if account.signature_version == NO_SIGNATURE else account.signature_version,
        # The library's newer default adds checksums that other vendors' servers refuse.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        retries={"mode": "standard", "max_attempts": 3},
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_SILENCE_SECONDS,
        max_pool_connections=50,
        s3={"addressing_style": "path" if account.endpoint else "auto"},
    )
    # Without a region, the library asks the environment and its own files; other vendors take any.
    region = account.region or ("us-east-1" if account.endpoint else None)
    session = get_session()
    session.register_component("data_loader", _descriptions())
    async with session.create_client(
        "s3",
        endpoint_url=account.endpoint,
        aws_access_key_id=account.access_key_id,
        aws_secret_access_key=account.secret_key,
        region_name=region,
        config=config,
    ) as client:
        client.meta.events.register("before-call.s3.DeleteObjects", _add_md5)
        client.meta.events.register_last("before-call.s3", _send_small_bodies_at_once)
        yield client


def _add_md5(params: dict[str, Any], **_: Any) -> None:
    """The library sends a newer checksum alone, and many vendors' servers want this one."""
    digest = hashlib.md5(params["body"], usedforsecurity=False).digest()
    params["headers"]["Content-MD5"] = base64.b64encode(digest).decode()


def _send_small_bodies_at_once(params: dict[str, Any], **_: Any) -> None:
    """The library asks before each body whether it may send it, which is a way to the server and back."""
    headers = params["headers"]
    if headers.get("Expect") and (determine_content_length(params["body"]) or 0) < _ASK_BEFORE:
        del headers["Expect"]
