"""What is to be done about an image, by whom, and when (docs/bucket-protocol.md#pending-work)."""

from collections.abc import Iterator
from dataclasses import dataclass

from common.errors import FailureClass
from common.images.records import Failure, Stage
from common.storage.status import State
from publisher.audit.findings import OF_STAGES, Finding, FindingClass
from publisher.maintenance.sweep import GRACE
from publisher.trace.buckets import StoredImage
from publisher.trace.model import KnownEvents, Pending, PendingKind, Place
from publisher.trace.units import duration


@dataclass(frozen=True)
class Rules:
    """INCOMING_TTL and RECONCILE_AFTER in seconds; `program` and `rendering_program` have the commands to run."""

    ttl: float
    reconcile_after: float
    program: str
    rendering_program: str

    def pending(self, found: StoredImage, events: KnownEvents) -> list[Pending]:
        """What is to be done about the image, the most important first."""
        return [
            *self._of_state(found, events),
            *(self._of_finding(found, finding) for finding in found.findings),
            *self._of_settings(found),
            *self._of_events(found, events),
        ]

    def _of_state(self, found: StoredImage, events: KnownEvents) -> Iterator[Pending]:
        if found.tombstone is None and found.other_originals and found.status.state is State.UNKNOWN:
            yield Pending(
                kind=PendingKind.OTHER_ENDING,
                what=f"the original has another ending: {', '.join(found.other_originals)}",
                next="trace that name",
            )
        base = found.status.records.get(Stage.BASE)
        if base is not None and base.failed is not None:
            yield self._of_failure(found, base.failed, events)
        private = found.original(Place.INCOMING)
        if private is None or found.tombstone is not None or found.original(Place.ACTIVE) is not None:
            return
        left = self.ttl - private.age
        if left > 0 and found.status.state is not State.FAILED:
            yield Pending(
                kind=PendingKind.ACTIVATION,
                what="it is not public: nobody has published it, or /publish was refused, as the publisher's log says",
                next=f"/publish makes it public, for another {duration(left)}",
            )
        if left <= 0:
            removal = left + GRACE
            when = f"in {duration(removal)} or later" if removal > 0 else "next"
            yield Pending(
                kind=PendingKind.EXPIRED,
                what=f"it was not published within {duration(self.ttl)} (INCOMING_TTL), and cannot be any more",
                next=f"a sweep removes it, {when}; the photo has to be uploaded again",
            )

    def _of_failure(self, found: StoredImage, failed: Failure, events: KnownEvents) -> Pending:
        what = f"it cannot be rendered ({failed.fault}): {failed.reason}"
        if failed.fault == FailureClass.GAVE_UP and events.dead_letters:
            return Pending(
                kind=PendingKind.FAILED,
                what=what,
                next=f"remove the cause, then: {self._command('dead-letters replay', found)}",
            )
        if found.original(Place.ACTIVE) is None:
            again = "nothing renders it again; the photo has to be uploaded anew"
        else:
            again = f"nothing renders it again by itself; {self._resize('--missing --force', found)} does"
        return Pending(kind=PendingKind.FAILED, what=what, next=again)

    def _of_finding(self, found: StoredImage, finding: Finding) -> Pending:
        return Pending(
            kind=finding.kind, what=_WHAT[finding.kind].format(finding.wrong), next=self._next(found, finding)
        )

    def _next(self, found: StoredImage, finding: Finding) -> str:
        clean = self._command("clean", found)
        if finding.kind is FindingClass.DELETED:
            return f"the next sweep removes it; so does {clean}"
        if finding.kind is FindingClass.STRAY_CROP:
            return f"{clean} removes it"
        if finding.kind is FindingClass.NO_ORIGINAL and found.age_in(Place.INCOMING) is None:
            return (
                f"a person decides whether it is all that is left of a photo; python -m {self.program} reconcile "
                "--repair --names FILE removes what no document has"
            )
        public = found.original(Place.ACTIVE) is not None
        if finding.kind in OF_STAGES and public:
            return f"{self._resize('--missing', found)} requests them, if no event does"
        if finding.kind in (FindingClass.IN_BOTH, FindingClass.NOT_MOVED):
            return f"{self._reconciler(found)}; so does another call of /publish"
        return self._reconciler(found)

    def _reconciler(self, found: StoredImage) -> str:
        wait = self.reconcile_after - (found.age_in(Place.INCOMING) or 0.0)
        if wait > 0:
            return (
                f"an event leads to it; if that was lost, the reconciler does it in {duration(wait)} "
                "(RECONCILE_AFTER), once the live queue is empty"
            )
        return "the reconciler does it, once the live queue is empty"

    def _of_settings(self, found: StoredImage) -> Iterator[Pending]:
        public = [record for record in found.records if record.bucket is Place.ACTIVE]
        stages = [record.stage for record in public if not record.current_settings and record.failed is None]
        shown_otherwise = any(finding.kind is FindingClass.OTHER_CROP for finding in found.findings)
        if stages and not shown_otherwise and found.status.state is State.ACTIVE:
            yield Pending(
                kind=PendingKind.OTHER_SETTINGS,
                what=f"its variants are of other settings than today's: {', '.join(stages)}",
                next=f"nothing renders them again by itself; {self._resize('--missing', found)} does",
            )

    def _of_events(self, found: StoredImage, events: KnownEvents) -> Iterator[Pending]:
        for letter in events.dead_letters:
            yield Pending(
                kind=PendingKind.DEAD_LETTER,
                what=f"its event {letter.type} could not be handled in {letter.queue}: {letter.reason}",
                next="nothing handles it again by itself; once the cause is removed, "
                f"{self._command('dead-letters replay', found)} has it handled",
            )

    def _command(self, what: str, found: StoredImage) -> str:
        return f"python -m {self.program} {what} --key {found.image}"

    def _resize(self, options: str, found: StoredImage) -> str:
        return f"python -m {self.rendering_program} resize {options} --key {found.image}"


_WHAT = {
    FindingClass.NO_RECORD: "it has no variants yet, of the stage {}",
    FindingClass.UNREADABLE_RECORD: "its record cannot be read, of the stage {}",
    FindingClass.OTHER_CROP: "its variants do not show its crop, of the stage {}",
    FindingClass.NO_ORIGINAL: "its original is in neither bucket, and this is left: {}",
    FindingClass.IN_BOTH: "it is half published: its original is in both buckets; still to be moved: {}",
    FindingClass.NOT_MOVED: "it is half published; still to be moved: {}",
    FindingClass.DELETED: "it was deleted, and this is left: {}",
    FindingClass.STRAY_CROP: "a crop is all that is left: {}",
}
