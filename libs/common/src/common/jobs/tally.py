"""Counting how images end: totals, errors and remarks by class, the report, and the progress."""

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TextIO

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from common.errors import JobFault
from common.jobs.options import Options
from common.jobs.outcome import Outcome, Result


class Tally:
    """Counts outcomes. `total` is how many images there are to look at."""

    def __init__(self, total: int, options: Options, report: TextIO | None) -> None:
        self._total = total
        self._options = options
        self._report = report
        self._began = time.monotonic()
        self._bar = tqdm(total=total, unit=" images", file=sys.stderr, disable=not sys.stderr.isatty())
        self.results: Counter[Result] = Counter()
        self.errors: Counter[str] = Counter()
        self.remarks: Counter[str] = Counter()
        self.bytes = 0

    @property
    def seen(self) -> int:
        """How many images have ended."""
        return self.results.total()

    def add(self, outcome: Outcome) -> None:
        """Count one more. Raises JobFault when the report cannot be written."""
        self.results[outcome.result] += 1
        self.bytes += outcome.bytes or 0
        if outcome.error is not None:
            self.errors[outcome.error] += 1
        if outcome.remark is not None:
            self.remarks[outcome.remark] += 1
        if self._report is not None:
            try:
                self._report.write(json.dumps(outcome.to_report()) + "\n")
            except OSError as error:
                raise JobFault(f"the report {self._options.report}: {error.strerror}") from error
        self._show(outcome)

    def summary(self, *, dry_run: bool = False) -> str:
        """The totals, in the form of the scripts that these commands replace, then the errors and remarks by class."""
        counted = {result: self.results[result] for result in Result}
        done = "to process" if dry_run else "processed"
        totals = f"Images: {self.seen}, skipped: {counted[Result.SKIPPED]}"
        lines = [f"{totals}, {done}: {counted[Result.PROCESSED]}, errors: {counted[Result.ERROR]}"]
        lines += [f"  {name}: {count}" for name, count in self.errors.most_common()]
        lines += [f"  {name}, and no error: {count}" for name, count in self.remarks.most_common()]
        return "\n".join(lines)

    def print_line(self, text: str) -> None:
        """Print something, and leave the bar below it as it is."""
        tqdm.write(text, file=sys.stdout)

    @property
    def has_bar(self) -> bool:
        """Whether there is a terminal, and so a bar."""
        return not self._bar.disable

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._bar.close()

    def _show(self, outcome: Outcome) -> None:
        self._bar.update()
        if self._options.verbose or (outcome.result is Result.ERROR and not self._bar.disable):
            why = " ".join(filter(None, (outcome.label, outcome.reason)))
            self.print_line(f"{outcome.image} {outcome.result}{': ' if why else ''}{why}")
        if self._bar.disable and self.seen % self._options.progress == 0:
            seconds = max(time.monotonic() - self._began, 1e-6)
            rate = self.seen / seconds
            left = tqdm.format_interval(max(self._total - self.seen, 0) / rate)
            share = self.seen / max(self._total, self.seen)
            print(f"Progress: {self.seen} / {self._total} ({share:.2%}), {rate:.1f} a second, {left} left", flush=True)


@contextmanager
def open_tally(total: int, options: Options) -> Iterator[Tally]:
    """A tally that prints its totals in the end, also of a run that could not go on. Raises JobFault."""
    try:
        report = options.report.open("w", buffering=1) if options.report else None
    except OSError as error:
        raise JobFault(f"the report {options.report} cannot be written: {error.strerror}") from error
    tally = Tally(total, options, report)
    try:
        with logging_redirect_tqdm() if tally.has_bar else nullcontext():  # a line of the log would break the bar
            yield tally
    finally:
        tally.close()
        if report is not None:
            report.close()
        print(tally.summary(dry_run=options.dry_run), flush=True)
