"""Who may call: by the secret in a field or as a bearer token, and from pages of other origins."""

from typing import Any

import aiohttp
from tests.client.site import Site
from tests.support.pictures import photo


async def test_the_secret_as_a_bearer_token(site: Site) -> None:
    right, body = f"Bearer {site.secret}", {"filename": "nonsense", "filenames": "nonsense"}
    for path in ("/publish", "/recrop", "/rotate", "/delete"):
        for authorization, field, status in (
            (right, None, 400),  # it is let through, and what it asks for is malformed
            (f"bearer  {site.secret}", None, 400),
            (right, "", 400),
            (right, site.secret, 400),
            ('JWT token="of somebody else"', site.secret, 400),
            ("Basic dXNlcjpwYXNz", site.secret, 400),
            (right, "wrong", 403),
            (right, ["wrong", site.secret], 403),
            ("Bearer wrong", site.secret, 403),
            ("Bearer wrong", None, 403),
            (f"Bearer {site.secret}x", None, 403),
            ("Bearer", None, 401),
            ("Bearer ", "", 401),
            (f"JWT {site.secret}", None, 401),
            (site.secret, None, 401),
        ):
            given: dict[str, Any] = body | ({} if field is None else {"secret": field})
            url, headers = f"{site.url}{path}", {"Authorization": authorization}
            async with site.http.post(url, json=given, headers=headers) as answer:
                assert answer.status == status, (path, authorization, field, await answer.text())
                assert answer.headers.get("WWW-Authenticate", "").startswith("Bearer") is (status == 401)
    name = await site.upload(photo(300, 200))
    headers = {"Authorization": right}
    assert await site.call("/publish", headers=headers, data={"filename": name}) == (200, {"success": True})
    assert await site.call("/publish", headers=headers, json={"filename": name}) == (200, {"success": True})


async def test_a_token_of_the_site_s_users_is_not_for_us(site: Site) -> None:
    form = aiohttp.FormData()
    form.add_field("file", photo(300, 200), filename="x.jpg")
    status, _ = await site.call("/upload", data=form, headers={"Authorization": 'JWT token="eyJ.of.a-user"'})
    assert status == 200


async def test_what_a_page_may_read_of_other_origins(site: Site) -> None:
    headers = {"Origin": "https://site.example", "Access-Control-Request-Method": "POST"}
    headers |= {"Access-Control-Request-Headers": "authorization, content-type"}
    for path in ("/upload", "/publish"):
        async with site.http.options(f"{site.url}{path}", headers=headers) as answer:
            assert answer.status == 204
            assert answer.headers["Access-Control-Allow-Origin"] == "*"
            assert answer.headers["Access-Control-Allow-Headers"] == "authorization, content-type"
            assert "POST" in answer.headers["Access-Control-Allow-Methods"]
        async with site.http.post(f"{site.url}{path}", headers={"Origin": "https://site.example"}) as answer:
            assert "Retry-After" in answer.headers["Access-Control-Expose-Headers"]


async def test_pages_of_another_origin(site: Site) -> None:
    headers = {"Origin": "https://site.example", "Access-Control-Request-Method": "POST"}
    async with site.http.options(f"{site.url}/upload", headers=headers) as answer:
        assert answer.status == 204
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    for path in ("/status/1475660224_0882910455.jpg", "/events/1475660224_0882910455.jpg", "/capabilities"):
        async with site.http.get(f"{site.url}{path}", headers={"Origin": "https://site.example"}) as answer:
            assert answer.headers["Access-Control-Allow-Origin"] == "*", path
