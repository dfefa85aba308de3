"""Waiting for an upload's thumbnails: some clients show at once what they have uploaded, or that it cannot be shown."""

import asyncio
from contextlib import aclosing, suppress

import structlog

from common.errors import FailureClass, StorageFault
from common.images.names import ImageKey
from common.images.plan import Plan
from common.images.records import Record, Stage
from common.messaging.events import ImageDeleted
from common.messaging.outbox import Outbox
from common.storage.base import Storage
from ingest.streams import StatusStreams

log = structlog.get_logger()


async def wait_for_base_record(image: ImageKey, seconds: float, *, streams: StatusStreams) -> Record | None:
    """The record of the image's base stage; None where there is none after `seconds`, or the store is away."""
    with suppress(TimeoutError, StorageFault):
        async with asyncio.timeout(seconds), aclosing(streams.follow(image)) as statuses:
            async for status in statuses:
                if status is not None and (record := status.records.get(Stage.BASE)) is not None:
                    return record
    return None


def is_at_fault(record: Record) -> bool:
    """Whether the image itself cannot be rendered, and never will be. What ran out of retries may be replayed."""
    return record.failed is not None and record.failed.fault != FailureClass.GAVE_UP


async def remove_failed_upload(image: ImageKey, *, incoming: Storage, plan: Plan, outbox: Outbox) -> None:
    """Remove a failed image from *incoming*, and announce that. Only for one whose name no client has learnt.

    The original goes first. So what a crash leaves, or a rendering that had begun before still writes, is an orphan,
    which the sweep removes. What was activated meanwhile is no more in *incoming*, and stays.
    """
    try:
        await incoming.delete(str(image))
        await incoming.delete_all(plan.rendered_keys(image))
    except StorageFault as fault:
        log.warning("a refused upload stays until it expires", image=str(image), reason=str(fault))
        return
    await outbox.send(ImageDeleted(source="/ingest", subject=image))
