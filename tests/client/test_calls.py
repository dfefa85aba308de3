"""Every call that the site's UI and API server make, and what they are answered."""

import asyncio
import re
from functools import partial
from typing import Any

import aiohttp
import pytest
from tests.client.site import Site, until
from tests.support.eventually import eventually
from tests.support.pictures import SVG, animated_gif, dimensions, opened, photo, png_header, transparent_png

SUFFIXES = ("BI", "MI", "SI")


def versions(name: str, *endings: str) -> list[str]:
    stem, _, ending = name.rpartition(".")
    base = "jpg" if ending == "svg" else ending
    return [f"{stem}{suffix}.{kind}" for suffix in SUFFIXES for kind in endings or (base,)]


async def test_from_upload_to_the_public(site: Site) -> None:
    assert await site.call("/ping", method="GET") == (200, "Pong!")
    for data, base in ((photo(), "jpg"), (transparent_png(), "png"), (animated_gif(), "gif"), (SVG, "svg")):
        name = await site.upload(data, filename="whatever it is called")
        assert name.endswith(f".{base}")
        assert await site.visible(name, *versions(name)) == set(), "nothing is public before it is activated"
        await site.done("/publish", filename=name)
        found = await site.settled(name)
        assert (found["state"], found["key"]) == ("active", name)
        assert set(found["records"]) == {"base", "modern"}
        every = [name, *versions(name), *versions(name, "webp")]
        assert await site.visible(*every) == set(every)
        assert await site.file(name) == (200, data), "the original, as it was sent"
        listed = {variant["key"] for record in found["records"].values() for variant in record["variants"]}
        assert listed == set(every) - {name}
        await site.done("/publish", filename=name)


@pytest.mark.parametrize("kind", ["form", "multipart", "json"])
async def test_every_form_of_body(site: Site, kind: str) -> None:
    async def send(path: str, **fields: str) -> tuple[int, Any]:
        given = {"secret": site.secret, **fields}
        if kind == "json":
            return await site.call(path, json=given)
        form = aiohttp.FormData(given, default_to_multipart=kind == "multipart")
        return await site.call(path, data=form)

    name = await site.upload(photo(600, 400))
    assert await send("/publish", filename=name, crop="300x200+10+10") == (200, {"success": True})
    status, body = await send("/rotate", filename=name, rotation="-90")
    assert (status, body["success"]) == (200, True)
    status, again = await send("/recrop", filename=body["filename"], crop="50%x50%+0+0")
    assert (status, again["success"]) == (200, True)
    for gone in (body["filename"], again["filename"]):
        assert await send("/delete", filenames=gone) == (200, {"success": True})


async def test_what_is_refused(site: Site) -> None:
    name = await site.upload(photo(300, 200))
    failing = await site.upload(png_header(500, 400))
    await until(lambda: _failed(site, failing), "the failure")
    svg = await site.published(SVG)
    unknown = "1475660224_0882910455.jpg"
    for path, fields, status, words in (
        ("/publish", {"filename": unknown}, 404, "not known"),
        ("/publish", {"filename": failing}, 422, ""),
        ("/publish", {"filename": "../../etc/passwd"}, 400, "expected SECONDS_DIGITS"),
        ("/publish", {"filename": [name, name]}, 400, "once"),
        ("/publish", {}, 400, "filename"),
        ("/publish", {"filename": name, "crop": "wide"}, 400, "expected WxH"),
        ("/publish", {"filename": name, "crop": "10x10"}, 400, "expected WxH+X+Y"),
        ("/publish", {"filename": name, "crop": "10x10+9000+0"}, 400, "outside"),
        ("/publish", {"filename": name, "crop": "50%x50%+50%+50%"}, 400, "offsets are in pixels"),
        ("/recrop", {"filename": name, "crop": "50%x50%+5+5%"}, 400, "offsets are in pixels"),
        ("/publish", {"filename": name, "crop": ["10x10+1+1"]}, 400, "once"),
        ("/recrop", {"filename": unknown}, 404, "not public"),
        ("/recrop", {"filename": name, "crop": "10x10+1+1"}, 404, "not public"),
        ("/recrop", {"filename": svg, "crop": "1x1+9999+1"}, 400, "outside"),
        ("/rotate", {"filename": unknown}, 404, "not public"),
        ("/rotate", {"filename": svg, "rotation": 90}, 400, "SVG"),
        ("/rotate", {"filename": svg, "rotation": 45}, 400, "expected 90, -90 or 180"),
        ("/rotate", {"filename": svg, "rotation": True}, 400, "expected 90, -90 or 180"),
        ("/delete", {"filenames": [svg, "nonsense"]}, 400, "expected SECONDS_DIGITS"),
        ("/delete", {"filenames": []}, 400, "filenames"),
        ("/delete", {"filenames": {"a": 1}}, 400, "filenames"),
        ("/delete", {}, 400, "filenames"),
    ):
        found = await site.command(path, **fields)
        assert found[0] == status, (path, fields, found)
        assert found[1]["success"] is False
        assert words in found[1]["error"], found
    assert await site.visible(svg) == {svg}, "one malformed name, and nothing is deleted"
    for path in ("/publish", "/recrop", "/rotate", "/delete"):
        for secret, status in (("", 401), (None, 401), ("wrong", 403), (7, 401)):
            body = {"filename": "nonsense", "filenames": "nonsense"} | ({} if secret is None else {"secret": secret})
            assert (await site.call(path, json=body))[0] == status, "the secret is looked at first"
        assert (await site.call(path, method="GET"))[0] == 405
        status, body = await site.call(path, json={"secret": "x" * 300_000})
        assert (status, "larger than 65536 bytes" in body["error"]) == (413, True)
        for kind, sent in (
            ("application/json", b"{"),
            ("application/json", b"[]"),
            ("application/json", b"\xff"),
            ("multipart/form-data; boundary=x", b"--y\r\n\r\n"),
            ("multipart/form-data", b"--x--"),
            ("text/plain", b"secret=x"),
        ):
            status, body = await site.call(path, data=sent, headers={"Content-Type": kind})
            assert status in (400, 401), (path, kind, sent, body)
            assert body["error"]
    for path in ("/status/nonsense", "/events/nonsense"):
        assert (await site.call(path, method="GET"))[0] == 400
    assert (await site.call("/upload", method="GET"))[0] == 405


async def _failed(site: Site, name: str) -> bool:
    found = await site.status(name)
    return bool(found["state"] == "failed" and found["reason"])


async def _shows_no_red(site: Site, key: str) -> bool:
    _, data = await site.file(key)
    return bool(opened(data).getpoint(5, 5)[1] > 40)


async def _shows_red_alone(site: Site, key: str) -> bool:
    _, data = await site.file(key)
    red, green, *_ = opened(data).getpoint(290, 215)
    return bool(dimensions(data) == (300, 225) and red > 240 and green < 20)


async def test_cropping(site: Site) -> None:
    name = await site.upload(photo(1200, 900))  # its top left quarter is red
    await site.done("/publish", filename=name, crop="300x225+0+0")
    assert (await site.settled(name))["records"]["base"]["crop"] == "300x225+0+0"
    # A rendering from before the crop may write late: then it starts over (docs/bucket-protocol.md).
    await eventually(partial(_shows_red_alone, site, versions(name)[1]), "the part of the crop, never enlarged")
    await site.done("/publish", filename=name, crop="400x300+800+600")
    await site.settled(name)
    for key in (*versions(name), *versions(name, "webp")):
        await eventually(partial(_shows_no_red, site, key), f"{key} with the other part")
    assert dimensions((await site.file(name))[1]) == (1200, 900), "the original stays whole"

    new = (await site.done("/recrop", filename=name, crop="50%x50%+0+0"))["filename"]
    assert new != name
    _, data = await site.file(versions(new)[0])
    assert dimensions(data) == (600, 450)
    assert await site.visible(name, new) == {name, new}
    whole = (await site.done("/recrop", filename=name))["filename"]
    _, data = await site.file(versions(whole)[0])
    assert dimensions(data) == (1200, 900)


async def test_rotating(site: Site) -> None:
    name = await site.published(photo(1200, 900))
    new = (await site.done("/rotate", filename=name, rotation=90))["filename"]
    assert new.endswith(".jpg")
    assert await site.visible(name, *versions(name), new, *versions(new)) == {new, *versions(new)}
    _, data = await site.file(versions(new)[1])
    assert dimensions(data) == (300, 400)
    assert opened(data).getpoint(295, 5)[0] > 240, "the red corner is top right now"
    assert opened(data).getpoint(295, 5)[1] < 20
    assert (await site.status(name))["state"] == "unknown"
    assert (await site.command("/rotate", filename=name))[0] == 404

    await site.done("/publish", filename=new, crop="100x200+800+0")
    turned = (await site.done("/rotate", filename=new, rotation="180"))["filename"]
    _, data = await site.file(versions(turned)[0])
    assert dimensions(data) == (100, 200), "a crop turns with its image"
    assert opened(data).getpoint(50, 100)[1] < 20, "and shows what it showed"


async def test_a_crop_is_not_touched_by_a_name_with_another_extension(site: Site) -> None:
    name = await site.published(photo(600, 400))
    await site.done("/publish", filename=name, crop="300x200+0+0")
    for other in (f"{name[:-4]}.png", f"{name[:-4]}.JPG"):
        assert (await site.command("/publish", filename=other, crop="10x10+0+0"))[0] == 404
    found = await site.settled(name)
    assert (found["state"], found["records"]["base"]["crop"]) == ("active", "300x200+0+0")


async def test_deleting(site: Site) -> None:
    names = [await site.published(photo(300 + number, 200)) for number in range(3)]
    early = await site.upload(photo(300, 200))
    await site.done("/delete", filenames=[*names[:2], early, "1475660224_1.jpg"])
    gone = [key for name in names[:2] for key in (name, *versions(name), *versions(name, "webp"))]
    assert await site.visible(*gone) == set()
    for name in (names[0], early):
        assert (await site.status(name))["state"] == "unknown"
        assert (await site.command("/publish", filename=name))[0] == 404
    await asyncio.sleep(0.5)
    assert await site.visible(*gone, names[2]) == {names[2]}
    form = aiohttp.FormData([("secret", site.secret), ("filenames", names[2]), ("filenames", names[1])])
    assert await site.call("/delete", data=form) == (200, {"success": True})
    assert await site.visible(names[2], *versions(names[2])) == set()


async def test_following_an_image(site: Site) -> None:
    name = await site.upload(photo())
    states = []
    async for found in site.events(name):
        states.append(found["state"])
        if found["state"] == "ready":
            await site.done("/publish", filename=name)
    order = ["processing", "ready", "active"]
    assert [state for state in order if state in states] == list(dict.fromkeys(states))
    assert (states[-1], found["settled"]) == ("active", True)
    async with site.http.get(f"{site.url}/events/{name}", headers={"Last-Event-ID": "settled"}) as answer:
        assert answer.status == 204, "a browser does not ask again"
    assert [found["state"] async for found in site.events("1475660224_0882910455.jpg")] == ["unknown"]


async def test_what_it_can_do(site: Site) -> None:
    status, found = await site.call("/capabilities", method="GET")
    assert status == 200
    assert re.fullmatch(r"\d+\.\d+\.\d+", found["version"])
    assert {"jpg", "png", "gif", "svg"} == set(found["reads"])
    assert {"jpg", "png", "gif", "webp", "avif"} == set(found["writes"])
    assert found["modern"] == ["webp"]
    assert [size["suffix"] for size in found["sizes"]] == list(SUFFIXES)
    assert found["limits"]["pixels"] == 100_000_000


async def test_whoever_does_not_want_to_wait(site: Site) -> None:
    name = await site.upload(photo())
    body = {"secret": site.secret, "filename": name}
    async with site.http.post(f"{site.url}/publish", json=body, headers={"Prefer": "respond-async"}) as answer:
        assert (answer.status, answer.headers["Preference-Applied"]) == (200, "respond-async")
    assert await site.visible(name) == {name}
    assert (await site.settled(name))["state"] == "active"
