"""How many requests an S3 server gets for each request and event: what a store is paid for, and a network waits for."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

from tests.benchmarks.report import say
from tests.support.every_call import CALLS, UPLOAD, Site, prepared, upload
from tests.support.s3 import TestBuckets
from tests.support.stores import s3_pair

from common.storage.s3 import connect

_REPOSITORY = Path(__file__).parents[2]


def documented() -> dict[str, int]:
    """The table in docs/performance.md."""
    text = (_REPOSITORY / "docs/performance.md").read_text()
    section = text.partition("## Requests to the store")[2].partition("\n## ")[0]
    return {call: int(cost) for call, cost in re.findall(r"^\| ([^|]+) \| (\d+) \|", section, re.MULTILINE)}


async def test_no_call_costs_more_requests_than_it_did(s3_buckets: TestBuckets, tmp_path: Path) -> None:
    sent: Counter[str] = Counter()

    def count(operation_name: str, **_: Any) -> None:
        sent[operation_name] += 1

    costs, seen = {}, {}
    async with connect(s3_buckets.account) as client:
        client.meta.events.register("request-created.s3", count)
        for name in (UPLOAD, *CALLS):
            site = Site(tmp_path / name, s3_pair(client, s3_buckets.account, s3_buckets, tmp_path))
            image = None if name == UPLOAD else await prepared(site, CALLS[name])
            sent.clear()
            await (upload(site) if image is None else CALLS[name].step(site, image))
            costs[name], seen[name] = sent.total(), dict(sent)
    for name, cost in costs.items():
        say(f"{name:30} {cost:3}  {seen[name]}")
    assert costs == documented()
    assert costs["upload"] + costs["render"] + costs["publish"] <= 24
    assert costs["delete"] <= 15
    assert costs["rotate"] <= 20
