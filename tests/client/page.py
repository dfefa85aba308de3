"""The page at `/` in a real browser: opening it, and what a person does there."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.devtools import BrowserPage, browser_page


@asynccontextmanager
async def opened(url: str, folder: Path) -> AsyncIterator[BrowserPage]:
    """The page, which has to be the one at this address; in the end it has broken none of its own rules."""
    async with browser_page(folder) as page:
        await page.open(f"{url}/")
        await page.evaluate(
            "window.heard = []; new MutationObserver(() => heard.push(document.getElementById('news').textContent))"
            ".observe(document.getElementById('news'), {childList: true})"
        )
        yield page
        assert [one for one in page.complaints if "Content Security Policy" in one or "exception" in one] == []


def made(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


async def seen(page: BrowserPage, state: str, number: int = 1) -> None:
    await page.until(f"document.querySelectorAll('.card[data-state={state}]').length === {number}")


async def press(page: BrowserPage, button: str) -> None:
    """Press a button of the only card with the keyboard."""
    selector = f'.card button[aria-label^="{button}: "]:not([hidden])'
    await page.until(
        f"(() => {{ const one = document.querySelector({json.dumps(selector)});"
        " one?.focus(); return one !== null && document.activeElement === one; })()"
    )
    await page.press("Enter")


async def text(page: BrowserPage, selector: str) -> str:
    found: str = await page.evaluate(f"document.querySelector({json.dumps(selector)}).textContent")
    return found
