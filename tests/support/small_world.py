"""What can happen to one image, and what was promised about it."""

import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.support.chosen_steps import Fault
from tests.support.explored import ExploredWorld
from tests.support.scheduler import CURRENT_PROCESS
from tests.support.small_pool import ORIGINAL, SmallPool
from tests.support.world import CROPS, GRACE, IMAGE, PLAN, TTL

from common.errors import Permanent, Transient
from common.images.names import ImageKey
from common.images.plan import Plan
from common.images.records import Stage, record_key
from common.messaging.events import Event, ImageActivated, ImageDeleted, ThumbnailsActivated, ThumbnailsRequested
from ingest.accept import UploadContext, accept_upload
from publisher.activation import activate
from publisher.context import EditContext
from publisher.deletion import delete_images
from publisher.edits import recrop_image, rotate_image
from publisher.maintenance.sweep import Sweep
from resizer.handlers import thumbnails_requested

MADE = tuple(ImageKey.parse(f"1475660300_000000000{number}.jpg") for number in (1, 2))  # by edits
BOTH_STAGES = Plan(PLAN.sizes[:1], PLAN.modern)
BASE = Plan(PLAN.sizes[:1])
_MINUTE = 60.0


@dataclass(frozen=True)
class Scenario:
    """Actors that meet, after others have come to their ends in turn; then those that repair.

    Where it is `whole_without_repair`, nothing may be left to them. Where it is `quiet`, nothing may be requested by
    them. Where it `gives_up`, an event that fails is not retried. `other` are settings of another resizer.
    """

    meet: tuple[str, ...]
    before: tuple[str, ...] = ()
    faults: frozenset[Fault] = frozenset({Fault.KILL})
    repair: tuple[str, ...] = ("reconcile", "sweep")
    plan: Plan = BASE
    other: Plan | None = None
    whole_without_repair: bool = False
    gives_up: bool = False
    quiet: bool = False

    def __str__(self) -> str:
        after = f" after {', '.join(self.before)}" if self.before else ""
        stages = ", both stages" if self.plan.modern else ""
        return f"{' + '.join(self.meet)}{after}{stages}; {', '.join(sorted(fault.name for fault in self.faults))}"


class SmallWorld(ExploredWorld):
    """The actors, and what the buckets have to hold after every step and in the end."""

    def __init__(self, scenario: Scenario, written: set[str]) -> None:
        super().__init__((IMAGE, *MADE), scenario.plan, scenario.faults, written, other=scenario.other)
        self.gives_up = scenario.gives_up
        self._other = scenario.other
        pool: Any = SmallPool()
        self.resizers = [replace(one, renderer=replace(one.renderer, pool=pool)) for one in self.resizers]
        shared = vars(self._publisher_context)
        self._edits = EditContext(**shared, pool=pool, temporary=Path(tempfile.gettempdir()), edit_wait=2)
        self._uploads = UploadContext(self.buckets.incoming, self.outbox, pool, None)
        self.made = iter(MADE)
        self.actors: list[str] = []
        self.requested_by_repair = 0

    async def publish(self, event: Event) -> None:
        self._check_announcement(event)
        if isinstance(event, ThumbnailsRequested) and CURRENT_PROCESS.get().name == "repair_incoming":
            self.requested_by_repair += 1
        await super().publish(event)

    def _check_announcement(self, event: Event) -> None:
        """What is told has happened."""
        image = event.subject
        if isinstance(event, ImageDeleted):
            assert image.tombstone_key in self.incoming, "told that it is deleted before it is"
        elif isinstance(event, ImageActivated) and image.tombstone_key not in self.incoming:
            assert str(image) in self.active, "told that it is public before it is"
        elif isinstance(event, ThumbnailsActivated) and image.tombstone_key not in self.incoming:
            assert record_key(image, event.data.stage) in self.active, "told that variants are public before they are"

    def upload(self) -> None:
        """The image is not there before it."""
        del self.incoming[str(IMAGE)]
        self.made = iter((IMAGE, *MADE))

        async def upload() -> None:
            with tempfile.NamedTemporaryFile() as file:
                file.write(ORIGINAL)
                file.flush()
                await accept_upload(Path(file.name), context=self._uploads)
            self.promised.add("uploaded")

        self.start(upload, request=True, name="upload")

    def publish_once(self) -> None:
        self._ask("published", "publish", lambda: activate(IMAGE, context=self._publisher_context))

    def render_again(self) -> None:
        self._render(ThumbnailsRequested(source="/test", subject=IMAGE), thumbnails_requested)

    def render_with_other_settings(self) -> None:
        assert self._other is not None
        context = replace(self.resizers[0], renderer=replace(self.resizers[0].renderer, plan=self._other))
        event = ThumbnailsRequested(source="/test", subject=IMAGE)
        self.start(lambda: thumbnails_requested(event, context=context), name="other settings")

    def delete(self) -> None:
        """A client that repeats it until it is answered."""
        self.start(self._delete_and_answer, name="delete")

    def delete_once(self) -> None:
        self.start(self._delete_and_answer, request=True, name="delete")

    async def _delete_and_answer(self) -> None:
        await delete_images(IMAGE, buckets=self.buckets, plan=BASE, outbox=self.outbox)
        self.promised.add("deleted")

    def lose_original(self) -> None:
        """As somebody may by mistake. A rendering that was killed has left something private, too."""

        async def lose() -> None:
            record = record_key(IMAGE, Stage.BASE)
            await self.buckets.incoming.copy_from(self.buckets.active, record)
            await self.buckets.active.delete(str(IMAGE))
            self.published = False

        self.start(lose, request=True, name="somebody")

    def half_render(self) -> None:
        """As a rendering that was killed before it wrote its record."""
        variant = IMAGE.variant_key(self.plan.sizes[0].suffix)
        self.start(lambda: self.buckets.incoming.put(variant, b"all"), request=True, name="killed rendering")

    def almost_expire(self) -> None:
        """Only a minute is left to activate the image."""
        self.scheduler.now = TTL - _MINUTE

    def rotate(self) -> None:
        self._ask("rotated", "rotate", lambda: rotate_image(IMAGE, 90, context=self._edits))

    def recrop(self) -> None:
        self._ask("recropped", "recrop", lambda: recrop_image(IMAGE, CROPS[1], context=self._edits))

    def clock(self) -> None:
        """The time to activate runs out, then the grace is over."""

        async def run_out() -> None:
            for now in (TTL + _MINUTE, TTL + GRACE + _MINUTE):
                await self.scheduler.step("publish nothing: time passes")
                self.scheduler.now = now

        self.start(run_out, request=True, deadline=float("inf"), name="clock")

    def sweep(self) -> None:
        sweep = Sweep(self._publisher_context, Path(), GRACE)

        async def once() -> None:
            async for candidate in sweep.candidates(thorough=True):
                await sweep.process(candidate)

        self.start(once, deadline=float("inf"), name="sweep")

    def _ask(self, promise: str, name: str, call: Callable[[], Awaitable[object]]) -> None:
        async def ask() -> None:
            try:
                await call()
            except (Permanent, Transient):
                return
            self.promised.add(promise)

        self.start(ask, request=True, name=name)
