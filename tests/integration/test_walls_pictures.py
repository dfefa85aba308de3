"""With the walls up, pictures are made byte for byte as without, and no file is refused that is not refused without."""

import asyncio
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path

import pytest
from tests.support.bombs import hostile, seeds

from common.errors import FailureClass, ImageError, Transient
from common.images.formats import Format, Output
from common.images.sizes import parse_sizes
from common.imaging.probe import Header, probe
from common.sandbox import process
from common.sandbox.pool import Pool
from common.sandbox.protocol import Job, Limits
from resizer.operations.render import Rendered, RenderJob, render
from resizer.operations.timing import UNTIMED

# `make fuzz` sets these, and compares all files instead of a sample.
SEED = int(os.environ.get("FUZZ_SEED", "1"))
FLIPS = int(os.environ.get("FUZZ_FLIPS", "0"))
_EVERY, _FIRST = (1, 0) if FLIPS else (20, 4)

LIMITS = Limits(memory_mb=700, cpu_seconds=8)
MODERN = Output(format=Format.WEBP, quality=80, effort=0), Output(format=Format.AVIF, quality=60, effort=0)
_NAMESPACE = "http://www.w3.org/2000/svg"
_TEXT = "".join(
    f'<text x="9" y="{40 + 50 * line}" font-size="36" font-family="{family}">Ag \u00e9 {family}</text>'
    for line, family in enumerate(("DejaVu Sans", "DejaVu Serif", "serif", "monospace", "no such font"))
)
TEXT = f'<svg xmlns="{_NAMESPACE}" width="400" height="270">{_TEXT}</svg>'.encode()

FONTS = next(path.parent for path in Path("/usr/share/fonts").rglob("DejaVuSans.ttf"))

Found = tuple[object, list[str]]
Modern = tuple[Output, ...]


async def made(pool: Pool, path: Path, modern: Modern) -> Found:
    """What is made of the file, without times: a hash of each variant, or the reason why there is none."""
    try:
        header, _ = await pool.run(probe, Job(limits=LIMITS), Header, path)
        output = Output(format=Format.JPG if header.format is Format.SVG else header.format)
        job = RenderJob(limits=LIMITS, sizes=parse_sizes(None), outputs=(output, *modern))
        rendered, blobs = await pool.run(render, job, Rendered, path)
    except ImageError as error:
        return error.fault, [error.reason]
    except Transient as error:
        if "beside other work" not in str(error):
            raise
        return FailureClass.TIMEOUT, [str(error)]  # the machine was busy with other things
    untimed = [replace(variant, period=UNTIMED) for variant in rendered.variants]
    found = replace(rendered, variants=untimed, decodings=[])
    return asdict(found), [sha256(blob).hexdigest() for blob in blobs]


async def compare(folder: Path, files: Iterator[tuple[str, bytes]], modern: Modern = ()) -> dict[str, Found]:
    """What is made of each file, which is the same with walls and without; by its name, and its number."""
    paths = {f"{number}-{name.replace('/', '_')}": data for number, (name, data) in enumerate(files)}
    for name, data in paths.items():
        (folder / name).write_bytes(data)
    found = []
    for worker, missing in (("common.sandbox.worker", 0), ("tests.support.unwalled", 2)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(process, "WORKER", worker)
            async with Pool.open(2, LIMITS) as pool:
                made_here = await asyncio.gather(*(made(pool, folder / name, modern) for name in paths))
                assert pool.walls is not None
                assert len(pool.walls.missing()) == missing
        found.append(dict(zip(paths, made_here, strict=True)))
    walled, bare = found
    # Whether there was time enough is the machine's to say.
    in_time = {name for name in paths if FailureClass.TIMEOUT not in (walled[name][0], bare[name][0])}
    assert {name: walled[name] for name in in_time} == {name: bare[name] for name in in_time}
    return walled


async def test_every_format_and_a_sample_of_the_hostile_files_are_rendered_alike(tmp_path: Path) -> None:
    good = await compare(tmp_path, iter((seeds() | {"text.svg": TEXT}).items()), MODERN)
    assert all(len(hashes) == 9 for _, hashes in good.values()), good
    files = [one for number, one in enumerate(hostile(SEED, FLIPS)) if number % _EVERY == _FIRST]
    ends = await compare(tmp_path, iter(files))
    assert any(len(hashes) == 1 for _, hashes in ends.values()), "some are refused"
    assert any(len(hashes) == 3 for _, hashes in ends.values()), "of others what can be made out is shown"


def _beside(folder: Path) -> None:
    """The configuration names a folder of fonts."""
    _write(folder / "given.conf", f"<dir>{folder}/fonts</dir><cachedir>{folder}/cache</cachedir>")


def _far(folder: Path) -> None:
    """It includes a folder, a link there leads to a file that names the fonts, and those are links, too."""
    (folder / "more").mkdir()
    (folder / "elsewhere" / "rules").mkdir(parents=True)
    (folder / "fonts").rename(folder / "elsewhere" / "fonts")
    (folder / "fonts").mkdir()
    for font in (folder / "elsewhere" / "fonts").iterdir():
        (folder / "fonts" / font.name).symlink_to(font)
    _write(folder / "elsewhere" / "rules" / "our.conf", f"<!-- <dir>/etc</dir> --><dir>{folder}/fonts</dir>")
    (folder / "more" / "10-ours.conf").symlink_to(folder / "elsewhere" / "rules" / "our.conf")
    _write(folder / "given.conf", f'<include ignore_missing="yes">{folder}/more</include><cachedir>/nowhere</cachedir>')


def _relative(folder: Path) -> None:
    """It names the folder as seen from itself."""
    _write(folder / "given.conf", '<dir prefix="relative">fonts</dir>')


def _write(path: Path, elements: str) -> None:
    head = '<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd">'
    path.write_text(f"{head}<fontconfig>{elements}</fontconfig>")


@pytest.mark.parametrize("lay_out", [_beside, _far, _relative])
async def test_text_is_drawn_with_fonts_wherever_the_configuration_says(
    lay_out: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(FONTS, tmp_path / "fonts")
    lay_out(tmp_path)
    monkeypatch.setenv("FONTCONFIG_FILE", str(tmp_path / "given.conf"))
    work = tmp_path / "work"
    work.mkdir()
    drawn = await compare(work, iter([("text.svg", TEXT)]))
    monkeypatch.setenv("FONTCONFIG_FILE", str(tmp_path / "none.conf"))
    _write(tmp_path / "none.conf", "")
    assert await compare(work, iter([("text.svg", TEXT)])) != drawn, "the fonts make the difference"
