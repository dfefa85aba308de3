"""The bucket protocol in miniature: one image, both buckets, the real handlers, and chance.

Each storage operation is a step. A seeded scheduler decides whose comes next, and now and then kills a handler, which
then begins again, as a redelivered event does.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextvars import copy_context
from pathlib import Path
from typing import Any

from tests.support.exploration import seeds
from tests.support.instant_loop import InstantLoop
from tests.support.instant_pool import InstantPool
from tests.support.scheduler import CURRENT_PROCESS, Scheduler, SimulatedProcess, SteppedStorage

from common.errors import Transient
from common.images.names import Format, ImageKey
from common.images.plan import Output, Plan
from common.images.records import Stage, record_key
from common.images.sizes import Crop, parse_sizes
from common.messaging.events import (
    ActivationRequested,
    Event,
    ImageUploaded,
    ThumbnailsFailed,
    ThumbnailsReady,
    ThumbnailsRequested,
)
from common.messaging.outbox import Outbox
from common.messaging.topology import WorkQueue
from common.storage.base import Buckets
from common.storage.image_store import write_tombstone
from publisher.activation import activate
from publisher.context import PublisherContext
from publisher.deletion import delete
from publisher.errors import ImageUnknown, UploadExpired
from publisher.handlers import activation_requested, thumbnails_failed, thumbnails_ready
from publisher.maintenance.reconciler import Reconciler
from publisher.maintenance.sweep import Sweep
from resizer.handlers import image_uploaded, thumbnails_requested
from resizer.rendering import Renderer
from resizer.thumbnails import ResizerContext

IMAGE = ImageKey.parse("1475660224_0882910455.jpg")
PLAN = Plan(parse_sizes(None)[:2], modern=(Output(format=Format.WEBP, quality=80),))
# Settings as an upgrade may change them: one size more and one less, another format, none at all.
OTHERS = (
    Plan(
        (parse_sizes(None)[0], parse_sizes('[{"suffix": "XL", "convert": ["-resize", "90x90"]}]')[0]),
        modern=(Output(format=Format.AVIF, quality=50),),
    ),
    Plan(parse_sizes(None)[:1]),
)
CROPS = Crop.parse("10x10+1+1"), Crop.parse("20x20+2+2")
EVERYTHING = {str(IMAGE)} | {
    key for stage in Stage for key in (record_key(IMAGE, stage), *PLAN.variant_keys(IMAGE, stage))
}
SEEDS = seeds(150, 1500)
FAR = range(5000)  # seeds of a search that ends with the first violation, which a rule that is left out has to bring
TTL = 3600.0
DEADLINE = 300.0  # seconds that a handler has, as on the bus
GRACE = 2 * DEADLINE
_PAUSE = 60.0  # seconds between two sweeps, at most
_MOST = 150  # events of one image; a run that needs more does not end

Handler = Callable[[], Coroutine[None, None, None]]


class World:
    """Both buckets, the handlers at work on one image that was just uploaded, and the events between them.

    `slowness` is how many seconds a step takes at most; a handler that takes longer than its deadline is begun again.
    There is a publisher with each of the plans `publishing`, and a resizer with each of `resizing`; if they may be
    `old`, some events do not tell what part of the image was rendered, as before there was such a field.
    """

    def __init__(
        self,
        seed: int,
        crashes: int,
        *,
        slowness: float = 0.0,
        grace: float = GRACE,
        publishing: Sequence[Plan] = (PLAN,),
        resizing: Sequence[Plan] = (PLAN,),
        old: bool = False,
    ) -> None:
        self.scheduler = Scheduler(seed, slowness)
        self.published = False
        self.answered: set[str] = set()
        self._events = 0
        self._old = old
        self.crashes = crashes
        self._grace = grace
        incoming, active = SteppedStorage(self.scheduler), SteppedStorage(self.scheduler)
        self.incoming, self.active = incoming.inner.objects, active.inner.objects
        self.buckets = Buckets(incoming, active)
        bus: Any = self  # a World is all that the handlers need of a bus
        pool: Any = InstantPool()
        self._resizers = [ResizerContext(self.buckets, bus, Renderer(pool, plan)) for plan in resizing]
        self._publishers = [PublisherContext(self.buckets, bus, Outbox(bus), plan, TTL) for plan in publishing]
        self._running: dict[asyncio.Task[None], Handler] = {}
        self._processes: dict[asyncio.Task[None], SimulatedProcess] = {}
        self._ends: dict[asyncio.Task[None], float] = {}
        self._of_requests: set[asyncio.Task[None]] = set()
        self.incoming[str(IMAGE)] = b"original"
        incoming.inner._written[str(IMAGE)] = 0.0  # noqa: SLF001 - when time begins

    async def publish(self, event: Event) -> None:
        """A publish is a step too, and its event is handled like any other."""
        await self.scheduler.step()
        self._events += 1
        assert self._events <= _MOST, "events without end"
        if isinstance(event, ThumbnailsReady | ThumbnailsFailed):
            told = self._as_an_old_one_tells(event) if self._old and self.scheduler.random.random() < 0.5 else event
            self.start(lambda: self._follow(told))
        elif isinstance(event, ThumbnailsRequested):
            self.start(lambda: thumbnails_requested(event, context=self._resizing))

    async def _follow(self, event: ThumbnailsReady | ThumbnailsFailed) -> None:
        if isinstance(event, ThumbnailsFailed):
            await thumbnails_failed(event, context=self._publisher_context)
        else:
            await thumbnails_ready(event, context=self._publisher_context)

    @property
    def _resizing(self) -> ResizerContext:
        return self.scheduler.random.choice(self._resizers)

    @property
    def _publisher_context(self) -> PublisherContext:
        return self.scheduler.random.choice(self._publishers)

    @staticmethod
    def _as_an_old_one_tells(event: ThumbnailsReady | ThumbnailsFailed) -> ThumbnailsReady | ThumbnailsFailed:
        return type(event).model_validate(event.model_dump(exclude={"data": {"crop"}}))

    def trouble(self) -> str | None:
        """None: the broker is there."""
        return None

    async def depth(self, _: WorkQueue) -> int:
        """Nothing ever waits here."""
        return 0

    def start(self, handler: Handler, *, deadline: float = DEADLINE, request: bool = False) -> None:
        """Begin; a handler of an event that is killed begins again, and that of a request does not."""
        process, context = SimulatedProcess(), copy_context()
        context.run(CURRENT_PROCESS.set, process)
        task = asyncio.create_task(handler(), context=context)
        if request:
            self._of_requests.add(task)
        self._processes[task] = process
        self._running[task] = handler
        self._ends[task] = self.scheduler.now + deadline

    def resize(self) -> None:
        event = ImageUploaded(source="/test", subject=IMAGE)
        self.start(lambda: image_uploaded(event, context=self._resizing))

    def activate(self) -> None:
        event = ActivationRequested(source="/test", subject=IMAGE)

        async def activate_and_answer() -> None:
            await activation_requested(event, context=self._publisher_context)
            self.published = True

        self.start(activate_and_answer)

    def crop_one(self) -> None:
        self.start(lambda: activate(IMAGE, context=self._publisher_context, crop=CROPS[0]))

    def crop_other(self) -> None:
        self.start(lambda: activate(IMAGE, context=self._publisher_context, crop=CROPS[1]))

    def crop_once(self) -> None:
        """A request with a crop, whose process may die."""
        crop = CROPS[0]

        async def crop_and_answer() -> None:
            await activate(IMAGE, context=self._publisher_context, crop=crop)
            self.answered.add(crop.geometry.text)

        self.start(crop_and_answer, request=True)

    def publish_once(self) -> None:
        self.start(lambda: activate(IMAGE, context=self._publisher_context), request=True)

    def delete_once(self) -> None:
        """A deletion whose process dies after the tombstone."""
        self.start(lambda: write_tombstone(IMAGE, buckets=self.buckets))

    def delete(self) -> None:
        self.start(lambda: delete(IMAGE, buckets=self.buckets, plan=PLAN, outbox=self._publisher_context.outbox))

    def sweep(self) -> None:
        """Sweep again and again until nobody may activate the image any more, and the grace is over."""
        sweep = Sweep(self._publisher_context, Path(), self._grace)

        async def sweep_on() -> None:
            over = False
            while not over:
                over = self.scheduler.now > TTL + self._grace
                async for candidate in sweep.candidates(thorough=True):
                    await sweep.process(candidate)
                self.scheduler.now += self.scheduler.random.random() * _PAUSE

        self.start(sweep_on, deadline=float("inf"))

    def reconcile(self) -> None:
        """Repair *incoming*, images of every age."""
        reconciler = Reconciler(
            self._publisher_context, after=0, interval=1, repair_all_at_start=False, temporary=Path()
        )
        self.start(reconciler.repair_incoming, deadline=float("inf"))

    async def stop(self) -> None:
        """All processes die, and every event is lost: what the embedded default's bus holds dies with it."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        self._running.clear()

    def start_embedded(self) -> None:
        """Repair both buckets, as the embedded default does when it starts."""
        reconciler = Reconciler(
            self._publisher_context, after=0, interval=1, repair_all_at_start=True, temporary=Path()
        )

        async def repair() -> None:
            assert await reconciler.repair_everything()

        self.start(repair, deadline=float("inf"))

    def suspend(self) -> None:
        """Suspend what runs now; `run` then goes on with what is started afterwards."""
        for task in self._running:
            self._processes[task].suspended = True

    def resume(self) -> None:
        """Let what was suspended go on."""
        for process in self._processes.values():
            process.suspended = False

    async def run(self, after_each_step: Callable[[], None], *, steps: float = float("inf")) -> None:
        """Step until nothing runs any more, or this often."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, InstantLoop)
        while any(not self._processes[task].suspended for task in self._running) and steps > 0:
            steps -= 1
            await loop.idle()  # everyone comes to their next step
            self._collect()
            late = [task for task in self._running if self.scheduler.now > self._ends[task]]
            if late:
                await self._crash(late)
            elif self.crashes and self._running and self.scheduler.random.random() < 0.05:
                self.crashes -= 1
                await self._crash(list(self._running))
            elif self._running and not self.scheduler.release():
                await asyncio.sleep(1)  # a handler waits for something that is no step
            after_each_step()

    def _collect(self) -> None:
        for task in [task for task in self._running if task.done()]:
            handler = self._running.pop(task)
            try:
                task.result()
            except Transient:
                self.start(handler)
            except UploadExpired:
                assert self.scheduler.now > TTL
            except ImageUnknown:
                gone = str(IMAGE) not in self.incoming and str(IMAGE) not in self.active
                assert IMAGE.tombstone in self.incoming or gone, "an image that is there is not unknown"

    async def _crash(self, tasks: list[asyncio.Task[None]]) -> None:
        task = self.scheduler.random.choice(tasks)
        handler = self._running.pop(task)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        if task not in self._of_requests:
            self.start(handler)
