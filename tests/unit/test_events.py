import json

import pytest

from common.errors import Permanent
from common.images.names import ImageKey
from common.messaging.events import ImageUploaded, ThumbnailsReady, decode, encode
from common.messaging.topology import QUEUES, RESIZER_LIVE, has_work_queue, routing_key

IMAGE = ImageKey.parse("1475660224_0882910455.jpg")


def test_an_event_is_a_cloudevent() -> None:
    event = ImageUploaded(source="/ingest", subject=IMAGE)
    written = json.loads(encode(event))
    assert written.keys() >= {"specversion", "id", "source", "type", "time", "subject", "datacontenttype", "data"}
    assert (written["specversion"], written["type"], written["subject"]) == ("1.0", "ImageUploaded", str(IMAGE))
    assert decode(encode(event)) == event


def test_fields_that_came_later_are_ignored_and_missing_ones_have_defaults() -> None:
    written = json.loads(encode(ImageUploaded(source="/ingest", subject=IMAGE)))
    written["newer"] = written["data"]["newer"] = 1
    del written["datacontenttype"]
    assert decode(json.dumps(written).encode()).subject == IMAGE
    del written["data"]["lane"]
    assert isinstance(decode(json.dumps(written).encode()), ImageUploaded)


@pytest.mark.parametrize(
    "change",
    [
        {"subject": "../../etc/passwd"},
        {"data": []},
        {"source": ""},
    ],
)
def test_what_is_no_event_is_a_permanent_failure(change: dict[str, object]) -> None:
    written = json.loads(encode(ImageUploaded(source="/ingest", subject=IMAGE))) | change
    with pytest.raises(Permanent, match="not an event"):
        decode(json.dumps(written).encode())
    with pytest.raises(Permanent):
        decode(b"\xff\x00 not even JSON")


def test_every_queue_can_be_reached() -> None:
    assert has_work_queue(ImageUploaded(source="/ingest", subject=IMAGE))
    assert routing_key(ImageUploaded(source="/ingest", subject=IMAGE)) in RESIZER_LIVE.routing_keys
    assert len({key for queue in QUEUES for key in queue.routing_keys}) == sum(len(q.routing_keys) for q in QUEUES)


def test_events_are_immutable() -> None:
    event = ThumbnailsReady.model_validate({"source": "/x", "subject": str(IMAGE), "data": {"configuration": "c"}})
    with pytest.raises(ValueError, match="frozen"):
        event.source = "/y"  # type: ignore[misc]
