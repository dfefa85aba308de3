"""What `reconcile` prints: a line for each finding, and the totals."""

from collections import Counter

from publisher.audit.findings import Finding


class FindingReport:
    """Prints and counts findings."""

    def __init__(self) -> None:
        self._found: Counter[str] = Counter()
        self._repaired: Counter[str] = Counter()

    def add(self, finding: Finding | None) -> None:
        """Print and count a finding. None, of a possible finding that was none, is not counted."""
        if finding is None:
            return
        self._found[finding.kind] += 1
        self._repaired[finding.kind] += finding.repaired
        repaired = " (settled)" if finding.repaired else ""
        print(f"{finding.kind} {finding.subject}: {finding.wrong}{repaired}", flush=True)

    @property
    def left(self) -> int:
        """How many findings are not repaired."""
        return self._found.total() - self._repaired.total()

    def summary(self, images: int) -> str:
        """The totals of `images` images, in all and by class. Programs read these lines: their words stay."""
        found, repaired = self._found.total(), self._repaired.total()
        totals = f"Images: {images}, findings: {found}, settled: {repaired}, left: {self.left}"
        classes = [f"  {kind}: {self._found[kind]}, settled: {self._repaired[kind]}" for kind in sorted(self._found)]
        return "\n".join([totals, *classes])
