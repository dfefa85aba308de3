"""`make bench`: the renderer beside its peers, then the whole pipeline; medians and ratios of one run.

Ratios hold; seconds depend on the machine and on who else is using it.
"""

import sys
from pathlib import Path

from tests.benchmarks import memory, peers, pipeline, quality, renderer, uploads
from tests.benchmarks.report import say

FOLDER = Path(".venv/bench")
NAMES = ("ours", "pillow", "sharp", "vipsthumbnail", "imagemagick")


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
    present = [name for name in NAMES if name not in missing]
    sections = {
        "jpeg": lambda: renderer.jpeg(folder, present, with_floor="floor" not in missing),
        "formats": lambda: renderer.others(folder, present),
        "throughput": lambda: renderer.throughput(folder, with_sharp="sharp" in present),
        "quality": lambda: quality.against_imagemagick(folder, with_imagemagick="imagemagick" in present),
        "curve": lambda: quality.curve(folder),
        "memory": lambda: memory.large(folder),
        "pipeline": lambda: pipeline.rates(folder),
        "uploads": lambda: uploads.latencies(folder, with_imagemagick="imagemagick" in present),
    }
    for name in sys.argv[1:] or sections:
        if name not in sections:
            sys.exit(f"{name!r} is no section: expected {', '.join(sections)}")
        sections[name]()


if __name__ == "__main__":
    main()
