"""The status of an image, read from the buckets."""

from enum import StrEnum

from pydantic import BaseModel

from common import tracing
from common.images.names import ImageKey
from common.images.plan import Plan
from common.images.records import Record, Stage
from common.storage.base import Buckets
from common.storage.image_store import find_bucket, is_deleted, read_crop, read_record


class State(StrEnum):
    """How far an image has come."""

    PROCESSING = "processing"
    READY = "ready"
    ACTIVE = "active"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Status(BaseModel):
    """The answer of `GET /status/KEY`. `settled` says that the status changes no more by itself.

    `trace_id` is the trace in which the base variants were rendered.
    """

    key: ImageKey
    state: State
    settled: bool
    records: dict[Stage, Record] = {}
    reason: str | None = None
    trace_id: str | None = None


async def read_status(image: ImageKey, *, buckets: Buckets, plan: Plan) -> Status:
    """The status of the image; a deleted image is unknown. Raises StorageFault."""
    # The order of the looks matters: an image that is deleted or moved between two of them is seen where it went.
    if await is_deleted(image, buckets=buckets):
        return Status(key=image, state=State.UNKNOWN, settled=True, reason="it was deleted")
    bucket = await find_bucket(image, buckets=buckets)
    if bucket is None:
        return Status(key=image, state=State.UNKNOWN, settled=True, reason="there is no such image")
    found = {stage: await read_record(bucket, image, stage) for stage in plan.stages}
    records = {stage: record for stage, record in found.items() if record is not None}
    base = records.get(Stage.BASE)
    trace_id = None if base is None else tracing.trace_id_of(base.traceparent)
    if base is not None and base.failed is not None:
        return Status(
            key=image, state=State.FAILED, settled=True, records=records, reason=base.failed.reason, trace_id=trace_id
        )
    if bucket is buckets.incoming:
        state = State.PROCESSING if base is None else State.READY
        return Status(key=image, state=state, settled=False, records=records, trace_id=trace_id)
    crop = await read_crop(buckets.active, image)
    shown = None if crop is None else crop.geometry.text
    complete = set(records) == set(plan.stages) and all(record.crop == shown for record in records.values())
    return Status(key=image, state=State.ACTIVE, settled=complete, records=records, trace_id=trace_id)
