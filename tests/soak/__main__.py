"""`make soak`: uploads, activations, crops, rotations and deletions, while servers and services fail in turn.

Then it is quiet, and the buckets have to be what was answered. SOAK_MINUTES, SOAK_SEED and SOAK_STORE (s3 or local)
choose; a seed repeats the faults and the calls, though not how they meet.
"""

import asyncio
import os
import random
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

from tests.benchmarks.report import say
from tests.soak.account import Account, Place
from tests.soak.audit import Audit, audit_contents, audit_keys
from tests.soak.chaos import Chaos
from tests.soak.clients import Clients
from tests.support.deployment import PYTHON, Deployment
from tests.support.proxy import Proxy
from tests.support.servers import begin_run, end_run
from yarl import URL

from common.images.formats import Format, Output
from common.images.plan import Plan
from common.images.sizes import parse_sizes

_CLIENTS = 3
_QUIET = 120.0  # seconds in which the buckets have to become what was answered
_SETTINGS = {
    "GENERATE_WEBP": "1",
    # Maintenance as often as the run is short.
    "RECONCILE_AFTER": "30",
    "RECONCILE_INTERVAL": "10",
    "CLEAN_INTERVAL": "60",
}
_PLAN = Plan(parse_sizes(None), (Output(format=Format.WEBP),))
_SHOWN = 40  # differences


async def soak(minutes: float, seed: int, store: str, folder: Path) -> bool:
    """Run it, and print the summary. Returns whether everything was as answered."""
    account = Account()
    async with AsyncExitStack() as stack:
        kind = "rabbit-s3" if store == "s3" else "rabbit-local"
        deployment = await stack.enter_async_context(Deployment.prepared(kind, folder, **_SETTINGS))
        proxies = await _proxied(deployment, stack)
        deployment.python = PYTHON
        await deployment.start()
        chaos, clients = Chaos(deployment, proxies, seed), Clients(deployment, account, seed + 1)
        stop = asyncio.Event()
        asyncio.get_running_loop().call_later(minutes * 60, stop.set)
        await asyncio.gather(chaos.run(stop), *(clients.work(stop) for _ in range(_CLIENTS)))
        await asyncio.gather(*(deployment.wait_ready(process) for process in deployment.processes.values()))
        quiet = time.monotonic()
        await clients.finish()
        found = await _equal(account, deployment, quiet + _QUIET)
        seconds = time.monotonic() - quiet
        if not found.differences:
            found.differences += await audit_contents(account, deployment.buckets, _PLAN)
        _summarise(account, chaos, found, seconds, await _dead_letters(deployment))
        say(f"left in TEMP_FOLDER  {len(list((folder / 'temp').iterdir()))}")
    return not found.differences and not account.violations


async def _proxied(deployment: Deployment, stack: AsyncExitStack) -> dict[str, Proxy]:
    assert deployment.vhost is not None
    broker = await stack.enter_async_context(Proxy.to(*deployment.vhost.address))
    deployment.environment["RABBITMQ_URL"] = deployment.vhost.url_through(broker.port)
    if deployment.s3 is None:
        return {"broker": broker}
    endpoint = URL(deployment.s3.endpoint)
    assert endpoint.host is not None
    assert endpoint.port is not None
    store = await stack.enter_async_context(Proxy.to(endpoint.host, endpoint.port))
    deployment.environment["STORE_ENDPOINT"] = f"http://127.0.0.1:{store.port}"
    return {"broker": broker, "store": store}


async def _equal(account: Account, deployment: Deployment, deadline: float) -> Audit:
    """The last comparison: the first without a difference, or the one at the deadline."""
    while True:
        found = await audit_keys(account, deployment.buckets, _PLAN)
        if not found.differences or time.monotonic() > deadline:
            return found
        await asyncio.sleep(2)


async def _dead_letters(deployment: Deployment) -> dict[str, int]:
    assert deployment.vhost is not None
    queues = await deployment.vhost.queues()
    counts = {name: int(str(queue.get("messages", 0))) for name, queue in queues.items()}
    return {name: count for name, count in counts.items() if count}


def _summarise(account: Account, chaos: Chaos, found: Audit, seconds: float, queues: dict[str, int]) -> None:
    say("answers")
    for (path, status), count in sorted(account.answers.items()):
        say(f"  {path:10} {status:5} {count:6}")
    say("faults")
    for name, count in sorted(chaos.injected.items()):
        say(f"  {name:22} {count:4} × {chaos.seconds[name]:6} s in all")
    places = [image.state.place for image in account.images.values() if len(image.possible) == 1]
    say("images               " + ", ".join(f"{places.count(place)} {place}" for place in Place))
    say("of unknown name      " + ", ".join(f"{count} {place}" for place, count in found.unnamed.items() if count))
    say(f"quiet after          {seconds:.0f} s")
    say(f"left in queues       {queues or 'nothing'}")
    for title, lines in (("differences", found.differences), ("wrong answers", account.violations)):
        say(f"{title:20} {len(lines)}")
        for line in lines[:_SHOWN]:
            say(f"  {line}")


def main() -> None:
    """Run what the environment asks for; exit with 1 when anything is not as it was answered."""
    minutes = float(os.environ.get("SOAK_MINUTES") or 20)
    seed = int(os.environ.get("SOAK_SEED") or random.randrange(10**6))
    store = os.environ.get("SOAK_STORE") or "s3"
    if store not in ("s3", "local"):
        sys.exit(f"SOAK_STORE {store!r}: expected s3 or local")
    say(f"SOAK_SEED={seed} SOAK_MINUTES={minutes:g} SOAK_STORE={store}")
    begin_run()
    try:
        with tempfile.TemporaryDirectory(prefix="image-backend-soak-") as folder:
            good = asyncio.run(soak(minutes, seed, store, Path(folder)))
    finally:
        end_run()
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
