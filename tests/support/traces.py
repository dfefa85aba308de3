"""Calls within a browser's trace, and the tree of spans that comes of them."""

import asyncio

import aiohttp
from tests.support.collector import FoundSpan
from tests.support.deployment import SECRET, Deployment
from tests.support.pictures import photo

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{SPAN}-01"


async def upload(deployment: Deployment, traceparent: str = TRACEPARENT) -> str:
    """The name of an upload within the browser's trace."""
    form = aiohttp.FormData()
    form.add_field("file", photo(600, 400), filename="photo.jpg")
    url, headers = f"{deployment.url('ingest')}/upload", {"traceparent": traceparent}
    async with deployment.http.post(url, data=form, headers=headers) as answer:
        assert answer.status == 200
        filename: str = (await answer.json())["filename"]
        return filename


async def publish(deployment: Deployment, filename: str, traceparent: str) -> None:
    """Publish the image within the trace."""
    body = {"secret": SECRET, "filename": filename}
    url, headers = f"{deployment.url('publisher')}/publish", {"traceparent": traceparent}
    async with deployment.http.post(url, json=body, headers=headers) as answer:
        assert answer.status == 200


async def all_sent(deployment: Deployment) -> None:
    """End the services: what they have not sent yet is sent then."""
    ended = await asyncio.gather(*(process.terminate() for process in deployment.processes.values() if process.running))
    assert set(ended) == {0}


def tree(spans: list[FoundSpan], trace: str = TRACE, root: str = SPAN) -> dict[str, set[str]]:
    """By name, the names of the spans that spans of the trace are children of. All of them lead to `root`."""
    of_trace = {span.span: span for span in spans if span.trace == trace}
    for span in of_trace.values():
        assert span.parent == root or span.parent in of_trace, f"{span} has no parent"
    parents: dict[str, set[str]] = {}
    for span in of_trace.values():
        parent = "the browser" if span.parent == root else of_trace[span.parent].name
        parents.setdefault(span.name, set()).add(parent)
    return parents
