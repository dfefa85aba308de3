"""What ingest promises for an original that it cannot turn upright: it is stored all the same."""

from pathlib import Path

from tests.support.memory import MemoryStorage
from tests.support.pictures import photo

from common.embedded import EmbeddedBus
from common.imaging.pool import Pool
from common.imaging.protocol import Limits
from common.outbox import Outbox
from common.topology import RESIZER_LIVE
from ingest.handlers import Uploads, accept


async def test_an_original_that_takes_too_much_to_turn_is_stored_as_it_is(tmp_path: Path) -> None:
    incoming, bus = MemoryStorage(), EmbeddedBus()
    sideways = photo(3000, 2000, 6)
    (tmp_path / "upload").write_bytes(sideways)
    async with Pool.open(1, Limits()) as pool, Pool.open(1, Limits(wall_seconds=0.01)) as turning:
        uploads = Uploads(incoming=incoming, outbox=Outbox(bus), pool=pool, turning=turning)
        key = await accept(tmp_path / "upload", uploads=uploads)
    assert incoming.objects == {str(key): sideways}
    assert await bus.depth(RESIZER_LIVE) == 1
