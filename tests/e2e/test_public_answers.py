"""What anybody is told while store, broker or TEMP_FOLDER are away: that it is so, when to come back, and not where.

Afterwards the buckets hold what was answered, and nothing of what was refused.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest
from tests.support.deployment import SECRET, Deployment, complete, keys
from tests.support.eventually import eventually
from tests.support.pictures import photo

from common.errors import NoSuchKey
from common.images.names import ImageKey

PHOTO = photo(300, 200)
UNKNOWN = "1475660224_0882910455.jpg"

SUFFIXES = ("BI", "MI", "SI")
COMMANDS = ("upload", "publish", "recrop", "rotate", "delete")

Objects = dict[tuple[str, str], bytes]  # by bucket and key
Away = Callable[[Deployment], AbstractAsyncContextManager[list[str]]]


class Call(NamedTuple):
    service: str
    method: str
    path: str
    fields: dict[str, str] | None = None
    image: str = UNKNOWN

    @property
    def body(self) -> dict[str, Any]:
        if self.path != "upload":
            return {"json": self.fields}
        form = aiohttp.FormData()
        form.add_field("file", PHOTO, filename="x.jpg")
        return {"data": form}


class Answer(NamedTuple):
    call: Call
    status: int
    body: dict[str, Any]


@contextmanager
def moved_away(*folders: Path) -> Iterator[None]:
    for folder in folders:
        folder.rename(f"{folder}-away")
    yield
    for folder in folders:
        assert not folder.exists(), "what another folder has taken is lost when the right one is back"
        Path(f"{folder}-away").rename(folder)


@asynccontextmanager
async def folders_away(deployment: Deployment) -> AsyncIterator[list[str]]:
    with moved_away(deployment.folder / "incoming", deployment.folder / "active"):
        yield [str(deployment.folder), "incoming"]


@asynccontextmanager
async def temporary_away(deployment: Deployment) -> AsyncIterator[list[str]]:
    with moved_away(deployment.folder / "temp"):
        yield [str(deployment.folder)]


@asynccontextmanager
async def store_away(deployment: Deployment) -> AsyncIterator[list[str]]:
    assert deployment.s3 is not None
    await deployment.end()
    settings = deployment.s3.environment(endpoint="http://127.0.0.1:9")
    for name in ("ingest", "publisher"):
        process = await deployment.launch(name, **settings, RABBITMQ_URL="amqp://user:word@127.0.0.1:9/hidden")
        await _answers(deployment, process.url)
    buckets = deployment.s3.incoming, deployment.s3.active
    yield ["127.0.0.1:9", "127.0.0.1", ":9", *buckets, "hidden", "word", "user"]
    await deployment.end()
    await deployment.start()


async def _answers(deployment: Deployment, url: str) -> None:
    async def is_alive() -> bool:
        try:
            async with deployment.http.get(f"{url}/livez"):
                return True
        except aiohttp.ClientError:
            return False

    await eventually(is_alive, f"an answer of {url}")


async def calls(deployment: Deployment) -> list[Call]:
    """Those that change something are about an image of their own, which is there and rendered."""
    private, cropped, recropped, rotated, deleted = [await deployment.uploaded(PHOTO) for _ in range(5)]
    for name in (recropped, rotated, deleted):
        assert (await deployment.publish(name))[0] == 200
        await eventually(lambda name=name: complete(deployment, name), name)  # type: ignore[misc]
    for name in (private, cropped):
        await deployment.wait_for(deployment.buckets.incoming, f"{name[:-4]}.json")

    def command(path: str, image: str, **more: str) -> Call:
        name = "filenames" if path == "delete" else "filename"
        return Call("publisher", "POST", path, {"secret": SECRET, name: image, **more}, image)

    return [
        Call("ingest", "GET", "readyz"),
        Call("publisher", "GET", "readyz"),
        Call("ingest", "GET", f"status/{UNKNOWN}"),
        Call("publisher", "GET", f"active/{UNKNOWN}"),
        Call("ingest", "POST", "upload"),
        command("publish", private),
        command("publish", cropped, crop="9x9+0+0"),
        command("recrop", recropped),
        command("rotate", rotated),
        command("delete", deleted),
    ]


async def contents(deployment: Deployment) -> Objects:
    """All objects, without those that go while the others are read."""
    found: Objects = {}
    for name, bucket in (("incoming", deployment.buckets.incoming), ("active", deployment.buckets.active)):
        for key in await keys(bucket):
            with suppress(NoSuchKey):
                found[name, key] = await bucket.get(key)
    return found


def of_image(image: str, objects: Objects) -> Objects:
    return {place: data for place, data in objects.items() if image[:-4] in place[1]}


def originals(objects: Objects) -> set[str]:
    return {key for _, key in objects if key.endswith(".jpg") and key[-5].isdigit()}


def rendered(bucket: str, image: str) -> set[tuple[str, str]]:
    stem = image[:-4]
    return {(bucket, key) for key in (image, f"{stem}.json", *(f"{stem}{suffix}.jpg" for suffix in SUFFIXES))}


async def ask(deployment: Deployment, call: Call, hidden: Sequence[str] = ()) -> Answer:
    url = f"{deployment.url(call.service)}/{call.path}"
    async with deployment.http.request(call.method, url, **call.body) as answer:
        text = await answer.text()
        assert answer.status in (200, 404, 503), (url, answer.status, text)
        assert ("Retry-After" in answer.headers) is (answer.status == 503)
        assert not [word for word in hidden if word in text], (url, text)
        return Answer(call, answer.status, json.loads(text))


async def all_is_as_answered(deployment: Deployment, answers: Sequence[Answer]) -> None:
    """Wait until the buckets hold what all commands were answered with success, and nothing else."""
    told = {answer.call.path: answer.body.get("filename", "") for answer in answers}
    private, cropped, recropped, rotated, deleted = (a.call.image for a in answers if a.call.image != UNKNOWN)
    public = (private, cropped, recropped, told["recrop"], told["rotate"])
    wanted = {("active", f"{cropped[:-4]}.crop"), *rendered("incoming", told["upload"])}
    wanted.update(*(rendered("active", name) for name in public))

    async def is_all_there() -> bool:
        return set(await contents(deployment)) == wanted

    await eventually(is_all_there, f"{sorted(wanted)}, and nothing else")
    found = await contents(deployment)
    for place in (("incoming", told["upload"]), *(("active", name) for name in (private, cropped, recropped))):
        assert found[place] == PHOTO
    for name in (rotated, deleted):
        assert await deployment.buckets.incoming.stat(ImageKey.parse(name).tombstone_key) is not None


@pytest.mark.parametrize(
    ("away", "kind", "least"),
    [
        pytest.param(folders_away, "embedded", ("readyz", *COMMANDS), id="folders_away"),
        pytest.param(store_away, "rabbit-s3", ("readyz", *COMMANDS), id="store_away"),
        pytest.param(temporary_away, "embedded", ("upload",), id="temporary_away"),
    ],
)
async def test_nobody_is_told_where_what_is_away_is_and_what_was_refused_has_left_nothing(
    away: Away, kind: str, least: tuple[str, ...], tmp_path: Path
) -> None:
    async with Deployment.prepared(kind, tmp_path) as deployment:
        await deployment.start()
        asked = await calls(deployment)
        before = await contents(deployment)

        def times_logged(word: str) -> int:
            return sum(process.log.read_text().count(word) for process in deployment.processes.values())

        async with away(deployment) as hidden:
            logged = times_logged(hidden[0])
            answers = await asyncio.gather(*(ask(deployment, call, hidden) for call in asked))
            assert times_logged(hidden[0]) > logged, "who runs it learns where"
        refused = [answer.call for answer in answers if answer.status == 503]
        assert {call.path for call in refused} >= set(least)

        after = await contents(deployment)
        told = {answer.body["filename"] for answer in answers if "filename" in answer.body}
        assert told <= originals(after) <= originals(before) | told
        for call in refused:
            assert of_image(call.image, after) == of_image(call.image, before), call
        await all_is_as_answered(
            deployment, [await ask(deployment, a.call) if a.call in refused else a for a in answers]
        )
