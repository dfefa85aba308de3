"""One handler for each event that the resizer takes. Both end in the same work: a stage of thumbnails is made."""

from common import metrics
from common.images.records import Stage
from common.messaging.events import ImageUploaded, Lane, ThumbnailsRequested
from resizer.thumbnails import ResizerContext, make_thumbnails, write_gave_up_record


async def image_uploaded(event: ImageUploaded, *, context: ResizerContext) -> None:
    """An original was stored: make its base variants, and request its modern ones."""
    record = await make_thumbnails(event.subject, Stage.BASE, event.data.lane, context=context)
    if record is not None and record.failed is None and event.data.lane is Lane.LIVE:
        metrics.UPLOAD_READY_SECONDS.observe(event.age)


async def thumbnails_requested(event: ThumbnailsRequested, *, context: ResizerContext) -> None:
    """A stage of an image is missing, out of date or to be made anew: make it."""
    await make_thumbnails(event.subject, event.data.stage, event.data.lane, context=context)


async def retries_exhausted(
    event: ImageUploaded | ThumbnailsRequested, error: Exception, *, context: ResizerContext
) -> None:
    """The last retry of the event failed with this error: write a record that says so, which ends every wait for it."""
    stage = event.data.stage if isinstance(event, ThumbnailsRequested) else Stage.BASE
    await write_gave_up_record(event.subject, stage, error, context=context)
