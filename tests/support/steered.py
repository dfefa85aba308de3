"""All services in one process, on the bus that a test gives them, with buckets that it steers."""

import asyncio
import json
import math
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestServer
from tests.support.bus import wait_for_broker
from tests.support.eventually import eventually
from tests.support.pictures import photo

from common.cancellation import together
from common.errors import NotDeleted, StorageFault
from common.http import Health, make_app
from common.messaging.bus import Bus
from common.messaging.outbox import Outbox
from common.messaging.rabbit import RabbitBus
from common.settings.base import read_settings
from common.storage.base import Buckets
from common.storage.local import LocalStorage
from ingest.bootstrap import ingest
from publisher.bootstrap import publisher
from publisher.context import PublisherContext
from publisher.maintenance.sweep import Sweep
from resizer.bootstrap import resizer
from standalone.settings import StandaloneSettings


class SteeredStorage(LocalStorage):
    """A folder that holds up what is written, and refuses what is written or removed, under some keys."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.refuses: tuple[str, ...] = ()
        self.fault: type[Exception] = StorageFault
        self._held: tuple[str, ...] = ()
        self._free = asyncio.Event()

    def hold(self, *endings: str) -> None:
        """Hold these up from now on, and nothing else any more."""
        self._free.set()
        self._held, self._free = endings, asyncio.Event()

    def release(self) -> None:
        self.hold()

    async def put(self, key: str, data: bytes, *, exclusive: bool = False) -> None:
        if key.endswith(self._held) and self._held:
            await self._free.wait()
        self._refuse(key)
        await super().put(key, data, exclusive=exclusive)

    async def put_all(self, objects: Mapping[str, bytes]) -> None:
        await together(*(self.put(key, data) for key, data in objects.items()))

    async def delete_all(self, keys: Collection[str]) -> None:
        refused = {key for key in keys if self.refuses and key.endswith(self.refuses)}
        await super().delete_all(set(keys) - refused)
        if refused:
            raise NotDeleted(refused, StorageFault("it is refused"))

    def _refuse(self, key: str) -> None:
        if self.refuses and key.endswith(self.refuses):
            raise self.fault(f"{key} is refused")


class Stream:
    """What `GET /events` has told of an image so far: state, stages with a record, and whether that was the end."""

    def __init__(self, image: str) -> None:
        self.image = image
        self.told: list[tuple[str, str, bool]] = []

    def hear(self, status: dict[str, Any]) -> None:
        self.told.append((status["state"], " ".join(sorted(status["records"])), status["settled"]))


class Backend:
    """All services on one bus, as a client sees them, with steered buckets."""

    def __init__(self, stack: AsyncExitStack, bus: Bus, folder: Path, edit_wait: float) -> None:
        self.incoming, self.active = SteeredStorage.open(folder / "incoming"), SteeredStorage.open(folder / "active")
        self.buckets = Buckets(self.incoming, self.active)
        (folder / "temp").mkdir()
        self.bus = bus
        self.settings = read_settings(
            StandaloneSettings,
            {
                "API_SECRET_KEY": "secret",
                "STORAGE_BACKEND": "local",
                "TEMP_FOLDER": str(folder / "temp"),
                "INCOMING_FOLDER": str(folder / "incoming"),
                "ACTIVE_FOLDER": str(folder / "active"),
                "GENERATE_WEBP": "1",
                "RESIZER_WORKERS": "1",
                "EDIT_WAIT": str(edit_wait),
                "ACTIVATION_WAIT": "0",
            },
        )
        self._stack = stack
        self._streams: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        settings, bus, buckets = self.settings, self.bus, self.buckets
        first = await self._stack.enter_async_context(ingest(settings, bus=bus, buckets=buckets))
        second = await self._stack.enter_async_context(resizer(settings, bus=bus, buckets=buckets))
        third = await self._stack.enter_async_context(publisher(settings, bus=bus, buckets=buckets))
        wired = (first, second, third)
        subscriptions = [subscription for service in wired for subscription in service.subscriptions]
        await self.bus.consume(subscriptions, wired[0].listener)
        if isinstance(self.bus, RabbitBus):
            await wait_for_broker(self.bus)
        routes = [route for service in wired for route in service.routes]
        app = make_app("test", routes, Health(self.buckets.check, self.bus.trouble, lambda: None), settings)
        server = await self._stack.enter_async_context(TestServer(app))
        self._url = str(server.make_url(""))
        self.http = await self._stack.enter_async_context(aiohttp.ClientSession(self._url))

    async def stop(self) -> None:
        for task in self._streams:
            task.cancel()
        await asyncio.gather(*self._streams, return_exceptions=True)
        for bucket in (self.incoming, self.active):
            bucket.release()
        await self.bus.drain(5)

    async def upload(self, data: bytes | None = None) -> str:
        form = aiohttp.FormData()
        form.add_field("file", data or photo(300, 200), filename="photo.jpg")
        async with self.http.post("/upload", data=form) as answer:
            assert answer.status == 200, await answer.text()
            name: str = (await answer.json())["filename"]
            return name

    async def call(self, path: str, *, status: int = 200, **body: object) -> dict[str, Any]:
        async with self.http.post(path, json={"secret": "secret", **body}) as answer:
            assert answer.status == status, await answer.text()
            found: dict[str, Any] = await answer.json()
            return found

    async def follow(self, image: str) -> Stream:
        """A stream that has told something already."""
        stream = Stream(image)

        async def listen() -> None:
            async with self.http.get(f"/events/{image}") as answer:
                async for line in answer.content:
                    if line.startswith(b"data: "):
                        stream.hear(json.loads(line[6:]))

        self._streams.append(asyncio.create_task(listen()))
        await eventually(lambda: answer(bool(stream.told)), "a first status")
        return stream

    async def has(self, bucket: LocalStorage, key: str) -> None:
        await eventually(lambda: bucket.stat(key), f"{key} in its bucket")

    @property
    def publisher_context(self) -> PublisherContext:
        """For what is done by a reconciler, a sweep or a command; the time to activate is over for all images."""
        return PublisherContext(self.buckets, self.bus, Outbox(self.bus), self.settings.plan, ttl=0)

    async def public_by_hand(self, name: str) -> None:
        """What an activation leaves that is killed after its first two steps."""
        await self.active.copy_from(self.incoming, name)
        await self.incoming.delete(name)


async def answer(value: bool) -> bool:  # noqa: FBT001 - for `eventually`
    return value


async def told(stream: Stream, *expected: tuple[str, str, bool]) -> None:
    """Wait until the stream has told this last, and hold all of it against what was to be told."""
    try:
        await eventually(lambda: answer(stream.told[-1:] == [expected[-1]]), f"{expected[-1]}")
    except AssertionError as error:
        raise AssertionError(f"{error}; what was told: {stream.told}") from error
    # Between two steps of a handler, a look that other news has brought about may see more than is listed here.
    remaining = iter(stream.told)
    assert all(status in remaining for status in expected), stream.told


async def sweep(site: Backend) -> None:
    """Remove what nobody activated in time, which is everything that is not public."""
    sweeping = Sweep(site.publisher_context, site.settings.temp_folder, grace=0)
    async for candidate in sweeping.candidates(thorough=True):
        await sweeping.process(candidate)


@asynccontextmanager
async def never_looking(
    bus: Bus, folder: Path, monkeypatch: pytest.MonkeyPatch, edit_wait: float = 60
) -> AsyncIterator[Backend]:
    """A backend whose streams never look by themselves: only an event makes them tell something.

    An edit whose variants do not come is given up after `edit_wait` seconds.
    """
    monkeypatch.setattr("ingest.streams.PAUSES", (math.inf,))
    async with AsyncExitStack() as stack:
        backend = Backend(stack, bus, folder, edit_wait)
        await backend.start()
        stack.push_async_callback(backend.stop)
        yield backend
