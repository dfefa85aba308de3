"""What services and commands are wired of: the buckets and the bus that the settings name."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from common.errors import BusFault
from common.messaging.rabbit import RabbitBus
from common.settings.accounts import S3Variables
from common.settings.base import Backend, BrokerSettings, Settings
from common.storage.base import Buckets
from common.storage.local import LocalStorage
from common.storage.s3 import S3Account, S3Storage, connect
from common.storage.temporary import prepare_temporary_folder

_CONNECT_PATIENCE = 10.0  # seconds


@asynccontextmanager
async def open_buckets(settings: Settings) -> AsyncIterator[Buckets]:
    """The two buckets that the settings name. Raises StorageFault for folders that cannot be made."""
    prepare_temporary_folder(settings.temp_folder)
    if settings.storage_backend is Backend.LOCAL:
        assert settings.incoming_folder is not None
        assert settings.active_folder is not None
        yield Buckets(LocalStorage.open(settings.incoming_folder), LocalStorage.open(settings.active_folder))
        return
    async with AsyncExitStack() as stack:
        clients: dict[S3Account, object] = {}

        async def bucket(name: str | None, prefix: str | None, acl: str, cache_control: str) -> S3Storage:
            assert name is not None
            account = s3_account(prefix, settings.s3_signature_version)
            if account not in clients:
                clients[account] = await stack.enter_async_context(connect(account))
            return S3Storage(
                clients[account], account, name, acl=acl, cache_control=cache_control, temporary=settings.temp_folder
            )

        yield Buckets(
            await bucket(settings.incoming_bucket, settings.incoming_prefix, "private", ""),
            await bucket(settings.active_bucket, settings.active_prefix, "public-read", settings.cache_control),
        )


@asynccontextmanager
async def open_bus(settings: BrokerSettings, service: str) -> AsyncIterator[RabbitBus]:
    """The bus over RabbitMQ. It connects in the background: the broker need not be up yet."""
    bus = RabbitBus(settings.rabbitmq_url, service)
    bus.start()
    try:
        yield bus
    finally:
        await bus.close()


async def wait_for_broker(bus: RabbitBus) -> None:
    """Return once the broker can be used. A command must not wait for one as a service does: raises BusFault."""
    try:
        async with asyncio.timeout(_CONNECT_PATIENCE):
            while bus.trouble() is not None:  # noqa: ASYNC110 - the link has no more to offer than its state
                await asyncio.sleep(0.05)
    except TimeoutError as error:
        raise BusFault(bus.trouble() or "the broker does not answer") from error


def s3_account(prefix: str | None, signature_version: str) -> S3Account:
    """The account that the variables with this prefix describe."""
    found = S3Variables.read(prefix)
    return S3Account(
        found.endpoint, found.access_key_id, found.secret_key, found.default_region, signature_version, prefix
    )
