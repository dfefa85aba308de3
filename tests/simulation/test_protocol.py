"""The bucket protocol, run by the real handlers in every order that chance finds, with crashes between any two steps.

Each storage operation is a step. A seeded scheduler decides whose comes next, and now and then kills a handler, which
then begins again, as a redelivered event does. After every step nothing may be lost or half public; in the end all
that is owed must be settled.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Collection, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.support.memory import MemoryStorage

from common.errors import Transient
from common.events import ActivationRequested, Event, ImageUploaded, ThumbnailsReady, ThumbnailsRequested
from common.images.names import Format, ImageKey
from common.images.plan import Output, Plan
from common.images.records import Stage, decode_record, record_key
from common.images.sizes import Crop, parse_sizes
from common.imaging.protocol import Limits
from common.outbox import Outbox
from common.storage import Buckets, Entry, Storage, Stranger
from publisher.activation import Activation
from publisher.deletion import delete
from publisher.errors import Unknown
from publisher.handlers import activate, activation_requested, thumbnails_settled
from resizer.handlers import Resizing, make_thumbnails
from resizer.operations.render import Made, Rendered, RenderJob
from resizer.rendering import Renderer

IMAGE = ImageKey.parse("1475660224_0882910455.jpg")
PLAN = Plan(parse_sizes(None)[:2], modern=(Output(format=Format.WEBP, quality=80),))
CROPS = Crop.parse("10x10+1+1"), Crop.parse("20x20+2+2")
EVERYTHING = {str(IMAGE)} | {key for stage in Stage for key in (record_key(IMAGE, stage), *PLAN.variants(IMAGE, stage))}
SEEDS = range(300)

Handler = Callable[[], Coroutine[None, None, None]]


class Scheduler:
    """Lets one step happen at a time, in an order that the seed decides."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self._parked: list[asyncio.Future[None]] = []

    async def step(self) -> None:
        """Wait for one's turn."""
        turn = asyncio.get_running_loop().create_future()
        self._parked.append(turn)
        try:
            await turn
        finally:
            if turn in self._parked:
                self._parked.remove(turn)

    def release(self) -> bool:
        """Let one of those that wait go on. Returns whether there was one."""
        if not self._parked:
            return False
        turn = self._parked.pop(self.random.randrange(len(self._parked)))
        if not turn.done():
            turn.set_result(None)
        return True


class SteppedStorage:
    """A bucket in memory whose every operation is a step; a copy is two, a read and a later write."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.inner = MemoryStorage()
        self._step = scheduler.step

    async def put(self, key: str, data: bytes) -> None:
        await self._step()
        await self.inner.put(key, data)

    async def put_file(self, key: str, path: Path, *, exclusive: bool = False) -> None:
        await self._step()
        await self.inner.put_file(key, path, exclusive=exclusive)

    async def copy_from(self, source: Storage, key: str) -> None:
        await self.put(key, await source.get(key))

    async def get(self, key: str) -> bytes:
        await self._step()
        return await self.inner.get(key)

    @asynccontextmanager
    async def as_file(self, key: str) -> AsyncIterator[Path]:
        await self._step()
        async with self.inner.as_file(key) as path:
            yield path

    async def stat(self, key: str) -> Entry | None:
        await self._step()
        return await self.inner.stat(key)

    async def delete(self, key: str) -> None:
        await self._step()
        await self.inner.delete(key)

    async def as_stranger(self, key: str) -> Stranger:
        await self._step()
        return await self.inner.as_stranger(key)

    async def entries(self, prefix: str = "") -> AsyncIterator[Entry]:
        await self._step()
        async for entry in self.inner.entries(prefix):
            yield entry

    async def objects_of(self, names: Collection[str]) -> AsyncIterator[Entry]:
        await self._step()
        async for entry in self.inner.objects_of(names):
            yield entry

    async def check(self) -> None:
        await self._step()

    async def leftovers(self) -> list[str]:
        await self._step()
        return await self.inner.leftovers()

    async def tidy(self) -> None:
        await self._step()


class InstantPool:
    """Renders in no time: what is searched here is the order of the steps around it."""

    limits = Limits()

    async def run(self, _: object, job: RenderJob, __: object) -> tuple[Rendered, list[bytes]]:
        made = [
            Made(suffix=size.suffix, format=output.format, width=1, height=1)
            for size in job.sizes
            for output in job.outputs
        ]
        rendered = Rendered(width=1, height=1, frames=1, variants=made, damaged=False, thumbhash="", colour="#000000")
        shown = "all" if job.crop is None else job.crop.geometry.text
        return rendered, [shown.encode()] * len(made)


class World:
    """Both buckets, the handlers at work on one image, and the events between them."""

    def __init__(self, seed: int, crashes: int) -> None:
        self.scheduler = Scheduler(seed)
        self._crashes = crashes
        incoming, active = SteppedStorage(self.scheduler), SteppedStorage(self.scheduler)
        self.incoming, self.active = incoming.inner.objects, active.inner.objects
        self.buckets = Buckets(incoming, active)
        bus: Any = self  # a World is all that the handlers need of a bus
        pool: Any = InstantPool()
        self._resizing = Resizing(buckets=self.buckets, bus=bus, renderer=Renderer(pool, PLAN))
        self._activation = Activation(buckets=self.buckets, bus=bus, outbox=Outbox(bus), plan=PLAN, ttl=3600)
        self._running: dict[asyncio.Task[None], Handler] = {}
        self.incoming[str(IMAGE)] = b"original"
        incoming.inner._written[str(IMAGE)] = 1e12  # noqa: SLF001 - just uploaded

    async def publish(self, event: Event) -> None:
        """A publish is a step too, and its event is handled like any other."""
        await self.scheduler.step()
        if isinstance(event, ThumbnailsReady):
            self.start(lambda: thumbnails_settled(event, activation=self._activation))
        elif isinstance(event, ThumbnailsRequested):
            self.start(lambda: make_thumbnails(event, resizing=self._resizing))

    def start(self, handler: Handler) -> None:
        self._running[asyncio.create_task(handler())] = handler

    def resize(self) -> None:
        event = ImageUploaded(source="/test", subject=IMAGE)
        self.start(lambda: make_thumbnails(event, resizing=self._resizing))

    def activate(self) -> None:
        event = ActivationRequested(source="/test", subject=IMAGE)
        self.start(lambda: activation_requested(event, activation=self._activation))

    def crop_one(self) -> None:
        self.start(lambda: activate(IMAGE, activation=self._activation, crop=CROPS[0]))

    def crop_other(self) -> None:
        self.start(lambda: activate(IMAGE, activation=self._activation, crop=CROPS[1]))

    def delete(self) -> None:
        self.start(lambda: delete(IMAGE, buckets=self.buckets))

    async def run(self, after_each_step: Callable[[], None]) -> None:
        """Step until nothing runs any more."""
        while self._running:
            for _ in range(8):  # let everyone come to their next step
                await asyncio.sleep(0)
            self._collect()
            if self._crashes and self.scheduler.random.random() < 0.05:
                await self._crash()
            elif self._running and not self.scheduler.release():
                await asyncio.sleep(0.001)  # a handler waits for something that is no step
            after_each_step()

    def _collect(self) -> None:
        for task in [task for task in self._running if task.done()]:
            handler = self._running.pop(task)
            try:
                task.result()
            except Transient:
                self.start(handler)
            except Unknown:
                assert IMAGE.tombstone in self.incoming, "an image that is there is not unknown"

    async def _crash(self) -> None:
        if not self._running:
            return
        self._crashes -= 1
        task = self.scheduler.random.choice(list(self._running))
        handler = self._running.pop(task)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        self.start(handler)


def nothing_is_lost_or_half_public(world: World) -> Callable[[], None]:
    def look() -> None:
        assert str(IMAGE) in world.incoming or str(IMAGE) in world.active, "lost original"
        for stage in Stage:
            if record_key(IMAGE, stage) in world.active:
                assert set(world.active) >= PLAN.variants(IMAGE, stage), "record without its thumbnails"
        if set(world.active) - {str(IMAGE)}:
            assert str(IMAGE) in world.active, "thumbnails public before their original"

    return look


def all_is_public(world: World) -> None:
    assert set(world.active) == EVERYTHING
    assert set(world.incoming) == set()


@pytest.mark.parametrize(
    ("actors", "crashes"),
    [
        (("activate", "resize"), 3),
        (("activate", "activate", "resize"), 2),
        (("activate", "resize", "resize"), 2),
    ],
)
async def test_every_order_ends_with_all_of_the_image_public(actors: tuple[str, ...], crashes: int) -> None:
    for seed in SEEDS:
        world = World(seed, crashes)
        for actor in actors:
            getattr(world, actor)()
        await world.run(nothing_is_lost_or_half_public(world))
        all_is_public(world)


@pytest.mark.parametrize(
    ("actors", "crashes"),
    [
        (("crop_one", "resize"), 3),
        (("crop_one", "activate", "resize"), 2),
        (("crop_one", "crop_other", "resize"), 2),
    ],
)
async def test_every_order_ends_with_the_crop_that_was_written_last(actors: tuple[str, ...], crashes: int) -> None:
    for seed in SEEDS:
        world = World(seed, crashes)
        for actor in actors:
            getattr(world, actor)()
        await world.run(lambda: None)
        assert set(world.active) == EVERYTHING | {IMAGE.crop}, f"seed {seed}"
        assert set(world.incoming) == set(), f"seed {seed}"
        crop = world.active[IMAGE.crop]
        for stage in Stage:
            shown = {world.active[key] for key in PLAN.variants(IMAGE, stage)}
            assert shown == {crop}, f"seed {seed}: {stage} shows {shown}, not {crop!r}"
            record = decode_record(world.active[record_key(IMAGE, stage)])
            assert record.crop == crop.decode(), f"seed {seed}"


@pytest.mark.parametrize("crashes", [0, 2])
async def test_a_crop_does_not_bring_a_deleted_image_back(crashes: int) -> None:
    for seed in SEEDS:
        world = World(seed, crashes)
        for actor in (world.crop_one, world.activate, world.resize, world.delete):
            actor()
        await world.run(lambda: None)
        assert set(world.active) == set(), f"seed {seed}"
        assert set(world.incoming) == {IMAGE.tombstone}, f"seed {seed}"


@pytest.mark.parametrize("crashes", [0, 2])
async def test_nothing_that_arrives_late_brings_a_deleted_image_back(crashes: int) -> None:
    for seed in SEEDS:
        world = World(seed, crashes)
        for actor in (world.activate, world.activate, world.resize, world.delete):
            actor()
        await world.run(lambda: None)
        assert set(world.active) == set(), f"seed {seed}"
        assert set(world.incoming) == {IMAGE.tombstone}, f"seed {seed}"


async def test_the_search_notices_a_rule_that_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the look for a tombstone after writing, some order brings the deleted image back."""

    async def never(*_: object, **__: object) -> bool:
        return False

    monkeypatch.setattr("publisher.handlers.take_back_if_deleted", never)
    came_back = 0
    for seed in SEEDS:
        world = World(seed, 0)
        for actor in (world.activate, world.resize, world.delete):
            actor()
        await world.run(lambda: None)
        came_back += bool(world.active)
    assert came_back


async def test_the_search_notices_a_crop_that_is_not_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the look for a crop after moving, some order leaves uncropped versions over the cropped ones."""

    async def never(*_: object, **__: object) -> None:
        return None

    monkeypatch.setattr("publisher.handlers.cropped_again", never)
    uncropped = 0
    for seed in SEEDS:
        world = World(seed, 0)
        for actor in (world.crop_one, world.activate, world.resize):
            actor()
        await world.run(lambda: None)
        shown = {world.active.get(key) for key in PLAN.variants(IMAGE, Stage.BASE)}
        uncropped += shown != {world.active[IMAGE.crop]}
    assert uncropped
