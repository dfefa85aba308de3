"""How many times a call waits for the store: requests at the same time are one round, which a distance makes longer."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from tests.support.every_call import CALLS, UPLOAD, Site, prepared, upload
from tests.support.scheduler import SteppedStorage

from common.storage.base import Buckets, Storage

_REPOSITORY = Path(__file__).parents[2]
_SECONDS = 0.01  # of each request, on the loop's own clock


class _Distance:
    """Each request takes as long."""

    now = 0.0

    async def step(self, _: str) -> None:
        await asyncio.sleep(_SECONDS)

    def fault(self, _: str) -> None:
        return None


class _Distant(SteppedStorage):
    """A copy is one request."""

    async def copy_from(self, source: Storage, key: str) -> None:
        assert isinstance(source, SteppedStorage)
        async with self._step(f"copy {key}"):
            await self.inner.copy_from(source.inner, key)


def documented() -> dict[str, int]:
    """The last column of the table in docs/performance.md."""
    text = (_REPOSITORY / "docs/performance.md").read_text()
    section = text.partition("## Requests to the store")[2].partition("\n## ")[0]
    return {call: int(rounds) for call, rounds in re.findall(r"^\| ([^|]+) \| \d+ \| (\d+) \|$", section, re.MULTILINE)}


@pytest.mark.parametrize("name", [UPLOAD, *CALLS])
async def test_no_call_waits_for_more_rounds_than_it_did(name: str, tmp_path: Path) -> None:
    distance: Any = _Distance()
    site = Site(tmp_path, Buckets(_Distant("incoming", distance), _Distant("active", distance)))
    image = None if name == UPLOAD else await prepared(site, CALLS[name])
    now = asyncio.get_running_loop().time
    began = now()
    await (upload(site) if image is None else CALLS[name].step(site, image))
    assert round((now() - began) / _SECONDS) == documented()[name]
    assert name != "publish" or documented()[name] <= 8
