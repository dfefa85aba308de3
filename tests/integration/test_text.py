"""Text in an SVG is as wide as in the fonts that it names: drawings of routes have their words where they belong."""

from pathlib import Path

import pytest
from tests.support.pictures import opened

from common.images.formats import Format, Output
from common.images.sizes import parse_sizes
from common.sandbox.pool import Pool
from common.sandbox.protocol import Limits
from resizer.operations.render import Rendered, RenderJob, render

LIMITS = Limits(memory_mb=700, cpu_seconds=8)
SIZE = 100  # of the letters, in pixels
WORD = "minimum"  # no two of its letters are moved towards each other
# The widths of m, i, n and u in each font, in thousandths of the size: what the fonts' own tables say.
HELVETICA = {"m": 833, "i": 222, "n": 556, "u": 556}
VERDANA = {"m": 973, "i": 274, "n": 633, "u": 633}


def drawing(path: Path, content: str) -> None:
    """Write an SVG."""
    path.write_text(f'<svg xmlns="http://www.w3.org/2000/svg" width="900" height="200">{content}</svg>')


async def inked(pool: Pool, path: Path, text: str, family: str) -> int:
    """How many pixels lie between the left and the right end of what is drawn."""
    drawing(path, f'<text x="100" y="150" font-size="{SIZE}" font-family="{family}">{text}</text>')
    sizes = parse_sizes('[{"suffix": "BI", "convert": ["-resize", "900x900>"]}]')
    job = RenderJob(limits=LIMITS, sizes=sizes, outputs=(Output(format=Format.PNG),))
    _, (picture,) = await pool.run(render, job, Rendered, path)
    drawn = opened(picture)
    _, _, width, _ = (drawn.flatten(background=[255] * 3) if drawn.hasalpha() else drawn).find_trim(threshold=60)
    found: int = width
    return found


@pytest.mark.parametrize(
    ("family", "widths"),
    [
        ("Arial", HELVETICA),
        ("Helvetica", HELVETICA),
        ("Arial, Helvetica, sans-serif", HELVETICA),
        ("Verdana", VERDANA),
        ("Verdana, Geneva, sans-serif", VERDANA),
    ],
)
async def test_text_is_as_wide_as_in_the_font_that_it_names(
    family: str, widths: dict[str, int], tmp_path: Path
) -> None:
    async with Pool.open(1, LIMITS) as pool:
        between = await inked(pool, tmp_path / "drawing.svg", f"H{WORD}H", family)
        beside = await inked(pool, tmp_path / "drawing.svg", "HH", family)
    expected = SIZE * sum(widths[letter] for letter in WORD) / 1000
    assert between - beside == pytest.approx(expected, rel=0.005, abs=1)
