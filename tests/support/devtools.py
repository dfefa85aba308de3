"""A page in a real browser, which a test reads and uses over the DevTools protocol.

The page is not changed for it: what it may do is still what its server says (its content security policy).
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from tests.support.browser import page
from tests.support.eventually import eventually

_BLANK = "about:blank"


class BrowserPage:
    """The one page of a browser."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._number = 0
        self.complaints: list[str] = []

    async def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol, and its result."""
        self._number += 1
        await self._socket.send_json({"id": self._number, "method": method, "params": parameters})
        while (told := await self._socket.receive_json()).get("id") != self._number:
            self._note(told)
        assert "error" not in told, (method, told)
        result: dict[str, Any] = told["result"]
        return result

    def _note(self, told: dict[str, Any]) -> None:
        if told["method"] == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(told["params"]["exceptionDetails"]))
        elif told["method"] == "Log.entryAdded" and told["params"]["entry"]["level"] == "error":
            self.complaints.append(json.dumps(told["params"]["entry"]))

    async def open(self, url: str) -> None:
        """Load a page, and wait until it is there."""
        await self.send("Page.navigate", url=url)
        await self.until(f"location.href.startsWith({json.dumps(url)}) && document.readyState === 'complete'")

    async def evaluate(self, expression: str) -> Any:
        """The value of JavaScript in the page; of a promise, what it resolves to."""
        found = await self.send("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, (expression, found["exceptionDetails"])
        return found["result"].get("value")

    async def until(self, expression: str) -> Any:
        """Its value as soon as it is true."""

        async def look() -> Any:
            return await self.evaluate(expression)

        return await eventually(look, expression)

    async def drop(self, selector: str, *files: Path) -> None:
        """Drag files from outside over an element, and let go."""
        box = await self.evaluate(
            f"(() => {{ const box = document.querySelector({json.dumps(selector)}).getBoundingClientRect();"
            " return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        data = {"items": [], "files": [str(file) for file in files], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            await self.send("Input.dispatchDragEvent", type=kind, x=box[0], y=box[1], data=data)

    async def press(self, key: str) -> None:
        """Press a key, and let it go."""
        text = {"Enter": "\r", " ": " "}.get(key, "")
        codes = {"Enter": 13, "Tab": 9, " ": 32, "ArrowRight": 39, "Escape": 27}
        what = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": codes[key]}
        await self.send("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **what)
        await self.send("Input.dispatchKeyEvent", type="keyUp", **what)

    async def type(self, text: str) -> None:
        """Type into what has the focus."""
        await self.send("Input.insertText", text=text)

    async def show_as(self, width: int, height: int, scheme: str = "light", scale: float = 1) -> None:
        """Have a window of this size, in pixels of CSS, and prefer `light` or `dark`."""
        size = {"width": width, "height": height, "deviceScaleFactor": scale}
        await self.send("Emulation.setDeviceMetricsOverride", mobile=width < 600, **size)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        await self.send("Emulation.setEmulatedMedia", features=features)


@asynccontextmanager
async def browser_page(folder: Path) -> AsyncIterator[BrowserPage]:
    """An empty page in a browser with a fresh profile in `folder`."""
    active = folder / "browser" / "DevToolsActivePort"
    async with page(_BLANK, folder), aiohttp.ClientSession() as http:

        async def port() -> str:
            return active.read_text().partition("\n")[0] if active.exists() else ""

        address = f"http://127.0.0.1:{await eventually(port, 'the port of the browser')}/json/list"

        async def target() -> str | None:
            async with http.get(address) as answer:
                found = [one for one in await answer.json() if one["type"] == "page"]
            return found[0]["webSocketDebuggerUrl"] if found else None

        socket = await eventually(target, "the page of the browser")
        assert socket is not None
        async with http.ws_connect(socket, max_msg_size=0) as connected:
            opened = BrowserPage(connected)
            for domain in ("Page", "Runtime", "Log"):
                await opened.send(f"{domain}.enable")
            yield opened
