"""`make bench`: the renderer beside its peers, then the whole pipeline; medians and ratios of one run.

Ratios hold; seconds depend on the machine and on who else is using it.
"""

import sys
from pathlib import Path

import structlog
from tests.benchmarks import (
    capacity,
    crowds,
    distance,
    memory,
    migration,
    modern,
    observed,
    peers,
    pipeline,
    quality,
    renderer,
    scale,
    stages,
    uploads,
    walls,
)
from tests.benchmarks.report import say
from tests.support.servers import begin_run, end_run

FOLDER = Path(".venv/bench")
# Each as it comes, and besides: sharp with our allocator's settings, Pillow with less to decode.
NAMES = ("ours", "pillow", "pillow_draft", "sharp", "sharp_tuned", "vipsthumbnail", "imagemagick")


def main() -> None:
    """Run what the command line names, by default all of it."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    folder = FOLDER.resolve()
    say("setting up the peers")
    missing = peers.set_up(folder)
    for name, why in missing.items():
        say(f"missing: {name} ({why})")
    if "photos" in missing:
        sys.exit(1)
    present = [name for name in NAMES if name.partition("_")[0] not in missing]
    sections = {
        "jpeg": lambda: renderer.jpeg(folder, present, with_floor="floor" not in missing),
        "formats": lambda: renderer.others(folder, present),
        "throughput": lambda: renderer.throughput(folder, with_sharp="sharp" in present),
        "quality": lambda: quality.against_imagemagick(folder, with_imagemagick="imagemagick" in present),
        "curve": lambda: quality.curve(folder),
        "modern": lambda: modern.report(folder),
        "stages": lambda: stages.report(folder, with_sharp="sharp" in present),
        "walls": lambda: walls.report(folder),
        "memory": lambda: memory.large(folder),
        "pipeline": lambda: pipeline.rates(folder),
        "observed": lambda: observed.overhead(folder),
        "capacity": lambda: capacity.report(folder),
        "distance": lambda: distance.report(folder),
        "migration": lambda: migration.report(folder),
        "scale": lambda: scale.report(folder),
        "crowds": lambda: crowds.report(folder),
        "uploads": lambda: uploads.latencies(folder, with_imagemagick="imagemagick" in present),
    }
    wanted = sys.argv[1:] or list(sections)
    if unknown := set(wanted) - set(sections):
        sys.exit(f"no such section: {', '.join(sorted(unknown))}; expected {', '.join(sections)}")
    begin_run()
    with (folder / "log").open("w") as log:
        # What the embedded default logs is written, as ever, but not between the figures.
        structlog.configure(
            processors=[structlog.processors.JSONRenderer()], logger_factory=structlog.PrintLoggerFactory(log)
        )
        try:
            for name in wanted:
                sections[name]()
        finally:
            end_run()


if __name__ == "__main__":
    main()
