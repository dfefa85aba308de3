"""The calls that every service serves."""

from common.http.api import examples
from common.http.api.models import LiveAnswer, ReadyAnswer
from common.http.api.operation import JSON, TEXT, Operation, Tag

PING = Operation("ping", Tag.SERVICE, "GET", "/ping", "Whether the service answers", {"text/plain": {"const": "Pong!"}})
LIVE = Operation(
    "getLiveness",
    Tag.SERVICE,
    "GET",
    "/livez",
    "Whether the process is alive",
    {JSON: LiveAnswer},
    examples={"alive": examples.LIVE},
)
READY = Operation(
    "getReadiness",
    Tag.SERVICE,
    "GET",
    "/readyz",
    "Whether the service is ready, the state of each dependency, and whether it takes events",
    {JSON: ReadyAnswer},
    examples={"ready": examples.IS_READY},
    answers={503: "the service cannot work"},
    models={503: ReadyAnswer},
)
OPENAPI = Operation("getOpenApi", Tag.SERVICE, "GET", "/openapi.json", "This description", {JSON: {"type": "object"}})
ASYNCAPI = Operation(
    "getAsyncApi",
    Tag.SERVICE,
    "GET",
    "/asyncapi.json",
    "The events and queues, as AsyncAPI",
    {JSON: {"type": "object"}},
)
DOCS = Operation(
    "getDocs", Tag.PAGES, "GET", "/docs", "This description as a page, which can send requests", {"text/html": TEXT}
)
DOCS_EVENTS = Operation(
    "getDocsOfEvents", Tag.PAGES, "GET", "/docs/events", "The events and queues as a page", {"text/html": TEXT}
)
DOCS_FILE = Operation(
    "getDocsFile",
    Tag.PAGES,
    "GET",
    "/docs/{file}",
    "A file of these pages",
    {"text/javascript": TEXT, "text/css": TEXT},
    parameters={"file": TEXT},
    answers={404: "the pages have no such file"},
)

ALL = (PING, LIVE, READY, OPENAPI, ASYNCAPI, DOCS, DOCS_EVENTS, DOCS_FILE)
