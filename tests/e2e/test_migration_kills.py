"""Half of a move is no move: whoever is killed in the middle of it, the next run ends it, and nothing is done twice."""

import asyncio
import random
from collections import Counter
from pathlib import Path

import pytest
from tests.support.deployment import keys
from tests.support.exploration import some
from tests.support.migration import Moving, moving
from tests.support.mortal import mortal_broker
from tests.support.originals import Originals
from tests.support.pictures import SVG, photo

from common.images.names import ImageKey

# Each of the four is killed, and the migrator last, so that the move goes on after all of it.
(IMAGES, ROWS), KILLS = some(((700, 2000), 9), ((200, 600), 5))
WORKERS = 2  # of each of two resizers
SLOWLY = ("--rate", "20")  # so that every kill falls into the move


def v5() -> tuple[list[tuple[int, str | None, bool | None]], dict[str, bytes], set[str]]:
    """Archive rows, the files that there are of them, and the originals that have to be public in the end."""
    pick = random.Random(5)
    small = photo(320, 240)
    names = [f"{1000000000 + number}_{number}" for number in range(IMAGES)]
    rows: list[tuple[int, str | None, bool | None]] = []
    files, good = {}, set()
    for number, name in enumerate(names):
        svg, missing, text = number % 50 == 1, number % 50 == 2, number % 50 == 3
        key = f"{name}.svg" if svg else f"{name}.jpg"
        if not missing:
            files[key] = SVG if svg else b"no image" if text else small
        if not missing and not text:
            good.add(key)
        rows.append((number, f"{name}.jpg", svg))
    while len(rows) < ROWS:
        rows.append((len(rows), f"{pick.choice(names)}.jpg", False))
    return rows, files, good


async def renders(site: Moving) -> Counter[str]:
    """How often each image was rendered, by what the resizers logged."""
    lines = [line for process in site.deployment.processes.values() for line in process.lines()]
    return Counter(str(line["image"]) for line in lines if line["event"] == "thumbnails made")


@pytest.mark.explores
@pytest.mark.timeout(600)
async def test_whoever_is_killed_the_move_ends_as_it_should(tmp_path: Path) -> None:
    rows, files, good = v5()
    names = sorted(files)
    faults = {name: ("500", "cut", "slow")[index % 3] for index, name in enumerate(names) if index % 20 == 0}
    pick = random.Random(6)
    async with (
        moving("rabbit-local", tmp_path / "site") as site,
        mortal_broker() as broker,
        Originals.served(files, faults) as originals,
    ):
        settings = {"V5_IMAGES": originals.url, "RABBITMQ_URL": broker.url}
        deployment = site.deployment
        deployment.environment |= {"RABBITMQ_URL": broker.url, "RESIZER_WORKERS": str(WORKERS)}
        await site.database.add(rows)

        async def resizer(number: int) -> None:
            await deployment.launch("resizer", alias=f"resizer-{number}")

        await asyncio.gather(*(resizer(number) for number in range(2)))
        migrator = await site.begin("migrator", "migrate", *SLOWLY, **settings)
        for kill in range(KILLS):
            await asyncio.sleep(pick.uniform(1, 2))
            victim = ("migrator", "resizer-0", "broker", "resizer-1")[kill % 4]
            if victim == "migrator":
                if migrator.returncode is None:
                    migrator.kill()
                await migrator.communicate()
                migrator = await site.begin("migrator", "migrate", *SLOWLY, **settings)
            elif victim == "broker":
                await broker.kill()
                await broker.start()
            else:
                await deployment.processes[victim].kill()
                await resizer(int(victim[-1]))
        _, said = await migrator.communicate()
        assert migrator.returncode == 1, said.decode()  # some images are missing or cannot be used

        last = await site.migrate(**settings)
        bad = IMAGES - len(good)
        assert (last.status, last.totals) == (1, f"Images: {IMAGES}, skipped: {len(good)}, processed: 0, errors: {bad}")
        assert Counter(line["error"] for line in last.report if line["result"] == "error") == {
            "missing": IMAGES // 50,
            "unsupported": IMAGES // 50,
        }
        expected = {key for name in good for key in everything(ImageKey.parse(name))}
        assert await keys(deployment.buckets.active) == expected
        assert await keys(deployment.buckets.incoming) == set()
        rendered = await renders(site)
        assert set(rendered) == good
        extra = rendered.total() - len(good)
        assert extra <= KILLS * 2 * WORKERS, (
            "an image is rendered again only if it was in hand when somebody was killed"
        )


def everything(image: ImageKey) -> list[str]:
    return [str(image), f"{image.name}.json", *(image.variant_key(suffix) for suffix in ("BI", "MI", "SI"))]
