"""What each request and event asks of the store: a budget, and never a listing."""

from collections import Counter
from pathlib import Path

import pytest
from tests.support.every_call import CALLS, UPLOAD, Site, prepared, upload

# stat, get, put and delete of both buckets together. What gets cheaper is written down here.
BUDGET = {
    "upload": Counter(put=1),
    "render": Counter(stat=2, get=4, put=4),
    "publish": Counter(stat=3, get=9, put=5, delete=1),
    "publish before the thumbnails": Counter(stat=3, get=9, put=1, delete=1),
    "publish once more": Counter(stat=7, get=5, delete=1),
    "publish, failed": Counter(stat=3, get=1),
    "thumbnails that come late": Counter(stat=2, get=8, put=4, delete=1),
    "status": Counter(stat=3, get=2),
    "rotate": Counter(stat=2, get=7, put=3, delete=5),
    "recrop": Counter(stat=1, get=2, put=3, delete=1),
    "delete": Counter(get=4, put=1, delete=4),
}


@pytest.mark.parametrize("name", [UPLOAD, *CALLS])
async def test_no_call_lists_a_bucket_or_asks_for_more_than_it_did(name: str, tmp_path: Path) -> None:
    site = Site(tmp_path)
    if name == UPLOAD:
        await upload(site)
        counts = site.counts()
    else:
        image = await prepared(site, CALLS[name])
        site.counts()
        await CALLS[name].step(site, image)
        counts = site.counts()
    assert not counts["list"], "it takes longer the more images there are"
    assert counts <= BUDGET[name]
