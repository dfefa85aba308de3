"""Clients of the site: browsers that upload, and an API server that activates, crops, rotates and deletes."""

import asyncio
import hashlib
import io
import random
from collections.abc import Callable

import aiohttp
from tests.soak.account import Account, Call, Image, Place
from tests.support.deployment import SECRET, Deployment
from tests.support.pictures import photo, transparent_png

from common.images.names import ImageKey

_TIMEOUT = aiohttp.ClientTimeout(90)  # seconds; longer than any answer may take
_TRIES = 3
_PAUSE = 0.05, 0.4  # seconds between two calls
_LONG_PAUSE = 0.5, 2.0  # seconds before a call is tried again
# Pixels. Small pictures are as many calls, and an hour of them fits into the S3 server's memory.
_SIDES = (160, 900), (320, 240), (640, 480), (900, 640)
# Statuses that say: try again. Every image here is good, so any other answer but 200 is a broken promise.
_AGAIN = (408, 429, 503)


class Clients:
    """Makes calls, and keeps the account of their answers."""

    def __init__(self, deployment: Deployment, account: Account, seed: int) -> None:
        self.account = account
        self.may_upload = asyncio.Event()
        self.may_upload.set()
        self._deployment = deployment
        self._random = random.Random(seed)
        self._pictures: list[Callable[[], bytes]] = [
            *(lambda side=side: photo(*side) for side in _SIDES),
            lambda: transparent_png(200, 160),
        ]

    async def work(self, stop: asyncio.Event) -> None:
        """One image's life after another, until told to stop."""
        while not stop.is_set():
            await self.may_upload.wait()
            image = await self._upload()
            if image is None:
                await self._pause_longer()
            else:
                await self._pause()
                await self._live(image, stop)

    async def finish(self) -> None:
        """Repeat every call whose effect is still open, until it is answered."""
        slots = asyncio.Semaphore(4)

        async def repeat(image: Image) -> None:
            async with slots:
                while image.unanswered is not None:
                    await self._call(image, image.unanswered)
                    await self._pause_longer()

        await asyncio.gather(*(repeat(image) for image in list(self.account.images.values())))

    async def _live(self, image: Image, stop: asyncio.Event) -> None:
        """A few calls about the image; it is left alone when one of them stays open."""
        for call in self._plan():
            if stop.is_set():
                return
            await self._call_until_answered(image, call)
            if image.unanswered is not None or image.state.place is Place.DELETED:
                return
            await self._pause()

    def _plan(self) -> list[Call]:
        chance = self._random.random
        calls = [Call("/publish")] if chance() < 0.85 else []
        if chance() < 0.3:
            calls.append(Call("/publish", self._crop()))
        elif calls and chance() < 0.2:
            calls.append(Call("/rotate"))
        if calls and chance() < 0.2:
            calls.append(Call("/recrop", self._crop()))
        if chance() < 0.25:
            calls.append(Call("/delete"))
        return calls

    def _crop(self) -> str:
        """A part that lies within every picture."""
        pick = self._random.randrange
        return f"{pick(40, 80)}x{pick(40, 80)}+{pick(60)}+{pick(60)}"

    async def _call_until_answered(self, image: Image, call: Call) -> None:
        for _ in range(_TRIES):
            await self._call(image, call)
            if image.unanswered is None:
                return
            await self._pause_longer()

    async def _call(self, image: Image, call: Call) -> None:
        account = self.account
        field = "filenames" if call.path == "/delete" else "filename"
        body = {"secret": SECRET, field: str(image.key)} | ({"crop": call.crop} if call.crop else {})
        before = image.unanswered
        status, answer = await self._ask("publisher", call.path, json=body)
        if status == 200:
            account.answered(image, call)
            if call.path in ("/rotate", "/recrop"):
                digest = image.digest if call.path == "/recrop" else None
                account.made(ImageKey.parse(answer["filename"]), call.crop, digest)
        elif status == 404 and before == call and call.path == "/rotate":
            account.answered(image, call)  # an earlier try has deleted the old image; the new one's name is lost
        else:
            account.left_open(image, call)
            if status not in (None, *_AGAIN):
                account.violations.append(f"{call.path} of {image.key}: {status} {answer.get('error')}")
                image.unanswered = None  # it would be answered like this for ever

    async def _upload(self) -> Image | None:
        data = self._random.choice(self._pictures)()
        form = aiohttp.FormData()
        form.add_field("file", io.BytesIO(data), filename="blob", content_type="application/octet-stream")
        status, answer = await self._ask("ingest", "/upload", data=form)
        if status == 200:
            return self.account.uploaded(ImageKey.parse(answer["filename"]), hashlib.sha256(data).hexdigest())
        self.account.unnamed[Place.PRIVATE] += 1
        if status not in (None, *_AGAIN):
            self.account.violations.append(f"/upload: {status} {answer.get('error')}")
        return None

    async def _ask(self, service: str, path: str, **body: object) -> tuple[int | None, dict[str, str]]:
        """Status and answer, or None where there was no answer."""
        try:
            url = f"{self._deployment.url(service)}{path}"
            async with self._deployment.http.post(url, timeout=_TIMEOUT, **body) as response:  # type: ignore[arg-type]
                status, answer = response.status, await response.json()
        except (aiohttp.ClientError, TimeoutError):
            self.account.answers[path, "no answer"] += 1
            return None, {}
        self.account.answers[path, str(status)] += 1
        return status, answer

    async def _pause(self) -> None:
        await asyncio.sleep(self._random.uniform(*_PAUSE))

    async def _pause_longer(self) -> None:
        await asyncio.sleep(self._random.uniform(*_LONG_PAUSE))
