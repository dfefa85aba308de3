"""What the gateway itself answers, where no service does; and what it leaves to them."""

import asyncio
from pathlib import Path

from tests.support.crowds import crowd
from tests.support.deployment import Deployment
from tests.support.gateway import gateway
from tests.support.pictures import photo
from tests.support.servers import free_port


async def test_a_service_that_is_away_and_a_head_that_never_ends(tmp_path: Path) -> None:
    async with Deployment.prepared("embedded", tmp_path) as deployment:
        await deployment.start()
        publisher, ingest = deployment.url("publisher").removeprefix("http://"), f"127.0.0.1:{free_port()}"
        async with gateway(tmp_path / "gateway", free_port(), ingest, publisher) as url:
            reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
            writer.write(b"GET /ping HTTP/1.1\r\nHost: x\r\nX-Unfinished: ")
            for method, path, body in (("POST", "/upload", photo(300, 200)), ("GET", "/status/1_1.jpg", None)):
                async with deployment.http.request(method, f"{url}{path}", data=body) as answer:
                    assert answer.status == 503
                    assert int(answer.headers["Retry-After"]) > 0
                    assert (await answer.json())["success"] is False
                    assert ingest not in await answer.text()
            async with asyncio.timeout(40):
                while await reader.read(1000):
                    pass
            writer.close()


async def test_one_client_has_what_ingest_allows_it_and_no_less(tmp_path: Path) -> None:
    async with Deployment.prepared("embedded", tmp_path, CLIENT_STREAMS="30") as deployment:
        await deployment.start()
        service = deployment.url("ingest").removeprefix("http://")
        async with gateway(tmp_path / "gateway", free_port(), service, service) as url:
            port = int(url.rpartition(":")[2])
            name = await deployment.uploaded(photo(300, 200))

            def stream(client: str) -> bytes:
                return f"GET /events/{name} HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: {client}\r\n\r\n".encode()

            async with crowd(port, ["127.0.0.1"], [stream("203.0.113.5")] * 31) as connections:
                statuses = [await one.status() for one in connections]
                assert sorted(statuses, key=str) == [200] * 30 + [429]
                async with crowd(port, ["127.0.0.1"], [stream("203.0.113.6")]) as (other,):
                    assert await other.status() == 200
