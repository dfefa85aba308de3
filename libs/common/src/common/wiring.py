"""Opening what services and commands depend on: the buckets and the bus that the settings name.

The libraries of a broker and of S3 are large, and loaded only where the settings name one.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from common.errors import BusFault
from common.messaging.bus import Bus
from common.settings.base import BrokerSettings, Settings
from common.settings.storage import BucketSettings, LocalStorageSettings
from common.storage.base import Buckets
from common.storage.local import LocalStorage
from common.storage.temporary import prepare_temporary_folder

if TYPE_CHECKING:
    from common.messaging.rabbit import RabbitBus
    from common.storage.s3 import S3Account, S3Storage

_CONNECT_SECONDS = 10.0


@asynccontextmanager
async def open_buckets(settings: Settings) -> AsyncIterator[Buckets]:
    """The two buckets that the settings name. Raises StorageFault for folders that cannot be made."""
    prepare_temporary_folder(settings.temp_folder)
    storage = settings.storage
    if isinstance(storage, LocalStorageSettings):
        yield Buckets(LocalStorage.open(storage.incoming), LocalStorage.open(storage.active))
        return
    from common.storage.s3 import S3Storage, connect

    async with AsyncExitStack() as stack:
        clients: dict[S3Account, object] = {}

        async def bucket(where: BucketSettings, acl: str, cache_control: str) -> "S3Storage":
            account = s3_account(where)
            if account not in clients:
                clients[account] = await stack.enter_async_context(connect(account))
            return S3Storage(
                clients[account],
                account,
                where.name,
                acl=acl,
                cache_control=cache_control,
                temporary=settings.temp_folder,
            )

        yield Buckets(
            await bucket(storage.incoming, "private", ""),
            await bucket(storage.active, "public-read", settings.cache_control),
        )


@asynccontextmanager
async def open_bus(settings: BrokerSettings, service: str) -> "AsyncIterator[RabbitBus]":
    """The bus over RabbitMQ. It connects in the background: the broker need not be up yet."""
    from common.messaging.rabbit import RabbitBus

    bus = RabbitBus(settings.rabbitmq_url, service)
    bus.start()
    try:
        yield bus
    finally:
        await bus.close()


async def wait_for_broker(bus: Bus) -> None:
    """Return when the broker can be used. Raises BusFault after ten seconds: a command does not wait for ever."""
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            while bus.trouble() is not None:  # noqa: ASYNC110 - the link has no more to offer than its state
                await asyncio.sleep(0.05)
    except TimeoutError as error:
        raise BusFault(bus.trouble() or "the broker does not answer") from error


def s3_account(bucket: BucketSettings) -> "S3Account":
    """The bucket's account, as the S3 library takes it."""
    from common.storage.s3 import S3Account

    account = bucket.account
    return S3Account(
        account.endpoint,
        account.access_key_id,
        None if account.secret_key is None else account.secret_key.get_secret_value(),
        account.default_region,
        bucket.signature_version,
        bucket.prefix,
    )
