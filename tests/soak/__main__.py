"""`make soak`: uploads, activations, crops, rotations and deletions, while servers and services fail in turn.

Then it is quiet, and the buckets have to be what was answered. SOAK_MINUTES, SOAK_SEED and SOAK_STORE (s3 or local;
both in turn when it is not set) choose; a seed repeats the faults and the calls, though not how they meet.
"""

import asyncio
import os
import random
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.report import say
from tests.soak.run import soak
from tests.soak.summary import summarise
from tests.support.servers import begin_run, end_run

_STORES = ("local", "s3")


def main() -> None:
    """Run what the environment asks for; exit with 1 when anything is not as it was answered."""
    minutes = float(os.environ.get("SOAK_MINUTES") or 20)
    seed = int(os.environ.get("SOAK_SEED") or random.randrange(10**6))
    chosen = os.environ.get("SOAK_STORE")
    if chosen and chosen not in _STORES:
        sys.exit(f"SOAK_STORE {chosen!r}: expected {' or '.join(_STORES)}")
    stores = (chosen,) if chosen else _STORES
    begin_run()
    try:
        good = [_run(minutes / len(stores), seed, store) for store in stores]
    finally:
        end_run()
    sys.exit(0 if all(good) else 1)


def _run(minutes: float, seed: int, store: str) -> bool:
    say(f"SOAK_SEED={seed} SOAK_MINUTES={minutes:g} SOAK_STORE={store}")
    with tempfile.TemporaryDirectory(prefix="image-backend-soak-") as folder:
        outcome = asyncio.run(soak(minutes, seed, store, Path(folder)))
    summarise(outcome)
    return outcome.good


if __name__ == "__main__":
    main()
