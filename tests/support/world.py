"""The bucket protocol in miniature: one image, both buckets, the real handlers, and chance.

Each storage operation is a step. A seeded scheduler decides whose comes next, and now and then kills a handler, which
then begins again, as a redelivered event does.
"""

from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from tests.support.exploration import seeds
from tests.support.instant_pool import InstantPool
from tests.support.processes import DEADLINE, Handler, Processes
from tests.support.scheduler import Scheduler, SteppedStorage

from common.errors import Permanent, Transient
from common.images.formats import Format, Output
from common.images.names import ImageKey
from common.images.plan import Plan
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
from publisher.deletion import delete_images
from publisher.errors import ImageFailed, ImageUnknown, UploadExpired
from publisher.handlers import activation_requested, thumbnails_failed, thumbnails_ready
from publisher.maintenance.reconciler import Reconciler
from publisher.maintenance.sweep import Sweep
from resizer.handlers import image_uploaded, retries_exhausted, thumbnails_requested
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
SEEDS = seeds(50, 1500)
FAR = range(5000)  # seeds of a search that ends with the first violation, which a rule that is left out has to bring
TTL = 3600.0
GRACE = 2 * DEADLINE
_PAUSE = 60.0  # seconds between two sweeps, at most
_MOST = 150  # events of one image; a run that needs more does not end


def name_of(event: Event) -> str:
    """The event's type and what it carries, as far as handlers look at it."""
    carried = event.data.model_dump(mode="json", exclude={"configuration", "failed"}, exclude_none=True).values()
    return " ".join((event.type, str(event.subject), *carried))


class World(Processes):
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
        gives_up: bool = False,
        scheduler: Scheduler | None = None,
    ) -> None:
        super().__init__(scheduler or Scheduler(seed, slowness), crashes, gives_up=gives_up)
        self.published = False
        self.answered: set[str] = set()
        self.announced: set[Stage] = set()
        self.gave_up = False
        self._dead_letters: list[tuple[Handler, str]] = []
        self._events = 0
        self._old = old
        self._grace = grace
        incoming, active = SteppedStorage("incoming", self.scheduler), SteppedStorage("active", self.scheduler)
        self.incoming, self.active = incoming.inner.objects, active.inner.objects
        self.buckets = Buckets(incoming, active)
        bus: Any = self  # a World is all that the handlers need of a bus
        pool: Any = InstantPool()
        self.resizers = [ResizerContext(self.buckets, bus, Renderer(pool, plan)) for plan in resizing]
        self._publishers = [PublisherContext(self.buckets, bus, Outbox(bus), plan, TTL) for plan in publishing]
        self.incoming[str(IMAGE)] = b"original"
        incoming.inner._written[str(IMAGE)] = 0.0  # noqa: SLF001 - when time begins

    async def publish(self, event: Event) -> None:
        """A publish is a step too, and its event is handled like any other."""
        await self.scheduler.step(f"publish {event.type}")
        self._events += 1
        assert self._events <= _MOST, "events without end"
        if isinstance(event, ThumbnailsReady | ThumbnailsFailed):
            if isinstance(event, ThumbnailsReady):
                self.announced.add(event.data.stage)
            told = self._as_an_old_one_tells(event) if self._old and self.scheduler.random.random() < 0.5 else event
            self._handle(lambda: self._follow(told), name_of(event))
        elif isinstance(event, ThumbnailsRequested):
            self._render(event, thumbnails_requested)
        elif isinstance(event, ImageUploaded):
            self._render(event, image_uploaded)

    def _handle(self, handler: Handler, name: str) -> None:
        """Handle an event that becomes a dead letter when its retries are exhausted."""

        async def keep() -> None:
            self._dead_letters.append((handler, name))

        self.start(handler, exhausted=keep, name=name)

    def replay(self) -> None:
        """Handle all dead letters again."""
        while self._dead_letters:
            self._handle(*self._dead_letters.pop())

    def _render(
        self,
        event: ImageUploaded | ThumbnailsRequested,
        handle: Callable[..., Coroutine[None, None, None]],
    ) -> None:
        async def give_up() -> None:
            self.gave_up = True
            await retries_exhausted(event, Transient("the store failed"), context=self._resizing)

        self.start(lambda: handle(event, context=self._resizing), exhausted=give_up, name=name_of(event))

    async def _follow(self, event: ThumbnailsReady | ThumbnailsFailed) -> None:
        if isinstance(event, ThumbnailsFailed):
            await thumbnails_failed(event, context=self._publisher_context)
        else:
            await thumbnails_ready(event, context=self._publisher_context)

    @property
    def _resizing(self) -> ResizerContext:
        return self.scheduler.random.choice(self.resizers)

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

    def resize(self) -> None:
        self._render(ImageUploaded(source="/test", subject=IMAGE), image_uploaded)

    def activate(self) -> None:
        event = ActivationRequested(source="/test", subject=IMAGE)

        async def activate_and_answer() -> None:
            await activation_requested(event, context=self._publisher_context)
            self.published = True

        self._handle(activate_and_answer, "activate")

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
        self.start(lambda: delete_images(IMAGE, buckets=self.buckets, plan=PLAN, outbox=self._publisher_context.outbox))

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

    def start_embedded(self) -> None:
        """Repair both buckets, as the embedded default does when it starts."""
        reconciler = Reconciler(
            self._publisher_context, after=0, interval=1, repair_all_at_start=True, temporary=Path()
        )

        async def repair() -> None:
            assert await reconciler.repair_everything()

        self.start(repair, deadline=float("inf"))

    def refused(self, error: Permanent) -> None:
        """Hold the refusal against the buckets."""
        if isinstance(error, UploadExpired):
            assert self.scheduler.now > TTL
        elif isinstance(error, ImageUnknown):
            gone = str(IMAGE) not in self.incoming and str(IMAGE) not in self.active
            assert IMAGE.tombstone_key in self.incoming or gone, "an image that is there is not unknown"
        elif isinstance(error, ImageFailed):
            assert self.gave_up, "an image that was never given up on has not failed"
        else:
            raise error
