"""Nothing hurts it: every hostile file ends in thumbnails or in a clear failure, within its limits."""

import asyncio
import os
from collections import defaultdict
from pathlib import Path

import pytest
import pyvips
from tests.support.bombs import hostile
from tests.support.pictures import photo

from common.errors import FailureClass, ImageError
from common.images.formats import Format, Output
from common.images.sizes import parse_sizes
from common.imaging.probe import Header, probe
from common.sandbox.pool import Pool
from common.sandbox.protocol import Job, Limits
from resizer.operations.render import Rendered, RenderJob, render

# `make fuzz` sets these: a seed of its own, and many more damaged files. What fails costs a decoding process each.
SEED = int(os.environ.get("FUZZ_SEED", "1"))
FLIPS = int(os.environ.get("FUZZ_FLIPS", "4"))
CUTS = range(1, 10) if "FUZZ_SEED" in os.environ else (1, 5, 9)  # tenths that are left

LIMITS = Limits(memory_mb=700, cpu_seconds=2)
SIZES = parse_sizes(None)


async def outcome(pool: Pool, path: Path) -> tuple[str, str]:
    """What becomes of the file, and why: `refused` at the header, `failed` at the rendering, or `made`."""
    try:
        header, _ = await pool.run(probe, Job(limits=LIMITS), Header, path)
    except ImageError as error:
        return "refused", error.reason
    output = Format.JPG if header.format is Format.SVG else header.format
    job = RenderJob(limits=LIMITS, sizes=SIZES, outputs=(Output(format=output),))
    try:
        made, blobs = await pool.run(render, job, Rendered, path)
    except ImageError as error:
        return "failed", error.reason
    assert len(made.variants) == len(blobs) == len(SIZES)
    return "made", "all of it"


async def test_a_hostile_set_ends_in_thumbnails_or_clear_failures(tmp_path: Path) -> None:
    folder, good = tmp_path / "hostile", tmp_path / "good.jpg"
    folder.mkdir()
    good.write_bytes(photo(640, 480))
    names = []
    for number, (name, data) in enumerate(hostile(SEED, FLIPS, CUTS)):
        path = folder / f"{number}"
        path.write_bytes(data)
        names.append((name, path))
    async with Pool.open(3, LIMITS) as pool:
        ends = await asyncio.gather(*(outcome(pool, path) for _, path in names))
        assert (await outcome(pool, good))[0] == "made", "the pool lives"
    assert len(names) > 100
    assert all(reason and "defect" not in reason for _, reason in ends), "each failure has its reason"
    found: dict[str, list[str]] = defaultdict(list)
    for (name, _), (what, _) in zip(names, ends, strict=True):
        found[what].append(name)
    bombs = {"huge.png", "huge.jpg", "huge.gif", "many-frames.gif", "compressed.svgz", "pdf", "tiff", "webp", "zeros"}
    assert bombs <= set(found["refused"])
    left = await asyncio.to_thread(lambda: {path.name for path in tmp_path.iterdir()})
    assert left == {"hostile", "good.jpg"}, "nothing is left behind"
    print({what: len(found[what]) for what in found})  # noqa: T201 - shown by `make fuzz`


async def test_a_picture_one_pixel_wide_has_a_square_thumbnail_or_is_refused(tmp_path: Path) -> None:
    """Its cover is 200 times as long before the square is cut out of it: longer than libvips takes by default."""
    thin, endless = tmp_path / "thin.png", tmp_path / "endless.png"
    thin.write_bytes(pyvips.Image.black(1, 60_000).pngsave_buffer())
    endless.write_bytes(pyvips.Image.black(1, 6_000_000).pngsave_buffer())
    async with Pool.open(1, LIMITS) as pool:
        job = RenderJob(limits=LIMITS, sizes=SIZES, outputs=(Output(format=Format.PNG),))
        made, _ = await pool.run(render, job, Rendered, thin)
        assert [(variant.width, variant.height) for variant in made.variants] == [(1, 1500), (1, 400), (200, 200)]
        with pytest.raises(ImageError, match="1,200,000,000 pixels a side") as refusal:
            await pool.run(render, job, Rendered, endless)
        assert refusal.value.fault is FailureClass.TOO_LARGE
