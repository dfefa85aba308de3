"""Uploads and activations while the S3 server is away: what is answered 200 is kept, the rest is told to come again."""

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.support.deployment import SECRET, Deployment, complete, keys
from tests.support.eventually import eventually
from tests.support.pictures import photo
from tests.support.store_faults import Act, answers, is_back, is_cut_off, proxy_to, refuses_the_key, throttles

PHOTO = photo(640, 480)


@pytest.mark.parametrize(
    ("begin", "end"),
    [(throttles, answers), (refuses_the_key, answers), (is_cut_off, is_back)],
    ids=lambda act: act.__name__,
)
async def test_all_that_was_answered_200_is_public_in_the_end(begin: Act, end: Act, tmp_path: Path) -> None:
    async with Deployment.prepared("rabbit-s3", tmp_path) as deployment:
        assert deployment.s3 is not None
        async with proxy_to(deployment.s3) as proxy:
            await deployment.start(**deployment.s3.environment(endpoint=f"http://127.0.0.1:{proxy.port}"))
            before = [await deployment.uploaded(PHOTO) for _ in range(3)]
            await begin(proxy)
            form = aiohttp.FormData()
            form.add_field("file", PHOTO, filename="photo.jpg")
            calls: tuple[tuple[str, dict[str, Any]], ...] = (
                ("ingest/upload", {"data": form}),
                ("publisher/publish", {"json": {"secret": SECRET, "filename": before[0]}}),
                ("publisher/delete", {"json": {"secret": SECRET, "filenames": before[1]}}),
            )
            for path, options in calls:
                service, _, call = path.partition("/")
                async with deployment.http.post(f"{deployment.url(service)}/{call}", **options) as answer:
                    assert answer.status == 503, await answer.text()
                    assert int(answer.headers["Retry-After"]) > 0
            await end(proxy)
            names = [*before, await deployment.uploaded(PHOTO)]
            for name in names:
                assert (await deployment.publish(name))[0] == 200
            for name in names:
                await eventually(lambda name=name: complete(deployment, name), name)  # type: ignore[misc]
                assert await deployment.buckets.active.get(name) == PHOTO
            assert await keys(deployment.buckets.incoming) == set()
            await deployment.nothing_temporary()


async def test_while_the_store_is_slow_all_is_done_late(tmp_path: Path) -> None:
    async with Deployment.prepared("rabbit-s3", tmp_path) as deployment:
        assert deployment.s3 is not None
        async with proxy_to(deployment.s3) as proxy:
            await deployment.start(**deployment.s3.environment(endpoint=f"http://127.0.0.1:{proxy.port}"))
            proxy.slow(0.3)  # seconds for each piece of a request and of an answer
            names = await asyncio.gather(*(deployment.uploaded(PHOTO) for _ in range(4)))
            assert [status for status, _ in await asyncio.gather(*map(deployment.publish, names))] == [200] * 4
            body = {"secret": SECRET, "filenames": names[0]}
            async with deployment.http.post(f"{deployment.url('publisher')}/delete", json=body) as answer:
                assert answer.status == 200
            for name in names[1:]:
                await eventually(lambda name=name: complete(deployment, name), name)  # type: ignore[misc]
                assert await deployment.buckets.active.get(name) == PHOTO

            async def nothing_else() -> bool:
                left = await keys(deployment.buckets.active)
                public = {key.startswith(tuple(name[:-4] for name in names[1:])) for key in left}
                return public == {True} and await keys(deployment.buckets.incoming) == set()

            await eventually(nothing_else, "nothing of the deleted image, and nothing private")
            await deployment.nothing_temporary()
