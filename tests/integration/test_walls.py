"""What an image that has taken its decoding process over is kept from: by both walls, and by each alone."""

import asyncio
import os
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from tests.support.decoders import decoding_processes
from tests.support.hostile import Act, Answer, act
from tests.support.walls import ABSTRACT, ATTEMPTS, short

from common.errors import ImageError, SettingsError
from common.sandbox import process, usage
from common.sandbox.pool import Pool
from common.sandbox.protocol import Limits

# What both walls hold back, each by itself, and what one of them does. seccomp does not know files by name, so that
# reading is Landlock's alone; Landlock does not know new processes, modes of files and UDP, which are seccomp's alone.
_BOTH = {
    "write",
    "rename",
    "remove",
    "truncate",
    "open for writing",
    "link",
    "link by name",
    "make a folder",
    "make a pipe",
    "remove a folder",
    "move to another folder",
    "open for writing by openat2",
    "take tcp connections",
    "connect by tcp",
    "abstract socket",
    "execute",
    "execute what can be read",
    "execute a descriptor",
    "trace its parent",
    "read its parent",
    "write its parent",
    "kill its parent",
    "signal a thread of its parent",
    "signal a thread of anybody",
}
_LANDLOCK = {
    "another upload",
    "an object of a bucket",
    "the accounts of the machine",
    "its parent's environment",
    "its parent's memory",
    "the names of other uploads",
}
_SECCOMP = {
    "change a mode",
    "change a time",
    "connect by mptcp",
    "connect by tcp fast open",
    "take udp",
    "send by udp",
    "a unix socket with a name",
    "netlink",
    "ciphers of the kernel",
    "pair of sockets",
    "fork",
    "be signalled for its parent",
    "its parent's descriptors",
    "namespaces",
    "io_uring",
    "userfaultfd",
    "bpf",
    "performance counters",
    "keys",
    "memory as a file",
    "shared memory beyond its limit",
    "a stack beyond its limit",
    "memory beyond its limit",
    "raise its limits",
    "control a device",
    "be readable for others",
    "make memory executable",
    "executable memory",
}

_X86_64 = {"create", "a call of 32 bits", "a call of x32"} & set(ATTEMPTS)


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Path]:
    """A folder with all that is worth taking, and sockets that are worth a call: by TCP, by name, and an abstract one.

    Its own name is the number of the TCP port.
    """
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_UNIX) as docker,
        socket.socket(socket.AF_UNIX) as abstract,
    ):
        folder = tmp_path / str(server.getsockname()[1])
        bucket = folder / "incoming"
        bucket.mkdir(parents=True)
        (folder / "upload").write_bytes(b"another photo")
        (bucket / "1475660224_1.jpg").write_bytes(b"a private photo")
        with short(folder) as name:
            docker.bind(f"{name}/docker.sock")
        abstract.bind(ABSTRACT.format(os.getpid()))
        docker.listen()
        abstract.listen()
        yield folder


async def tried(names: Iterable[str], target: Path, worker: str = process.WORKER) -> dict[str, str]:
    """What each of the attempts says in a decoding process that is confined as `worker` does it."""
    said = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process, "WORKER", worker)
        async with Pool.open(1, Limits(memory_mb=512)) as pool:
            for name in names:
                job = Act(what=f"attempt:{name}:{target}", limits=pool.limits)
                answer, _ = await pool.run(act, job, Answer, None)
                said[name] = answer.text
    return said


async def test_both_walls_stand_here_and_nothing_gets_through(target: Path) -> None:
    async with Pool.open(1, Limits()) as pool:
        await pool.start_one()
        assert pool.walls is not None
        assert pool.walls.missing() == []
        (pid,) = decoding_processes()
        assert usage.threads(pid) == 1, "Landlock is around the thread that raises it, and those that it starts"
    said = await tried(ATTEMPTS, target)
    assert not {name: text for name, text in said.items() if not text.startswith("denied")}
    left = await asyncio.to_thread(lambda: {path.name for path in target.iterdir()})
    assert left == {"upload", "incoming", "docker.sock"}
    assert (target / "upload").read_bytes() == b"another photo"


@pytest.mark.parametrize(("wall", "names"), [("landlock", _BOTH | _LANDLOCK), ("seccomp", _BOTH | _SECCOMP | _X86_64)])
async def test_each_wall_alone_holds(wall: str, names: set[str], target: Path) -> None:
    said = await tried(sorted(names), target, f"tests.support.{wall}_alone")
    assert not {name: text for name, text in said.items() if not text.startswith("denied")}
    assert (target / "upload").read_bytes() == b"another photo"


_UNWALLED = "tests.support.unwalled"


async def test_without_walls_these_attempts_succeed(target: Path) -> None:
    """So that the denials are the walls'."""
    names = {
        "another upload",
        "an object of a bucket",
        "the accounts of the machine",
        "the names of other uploads",
        "change a mode",
        "change a time",
        "open for writing",
        "open for writing by openat2",
        "take tcp connections",
        "connect by tcp",
        "connect by mptcp",
        "connect by tcp fast open",
        "take udp",
        "send by udp",
        "a unix socket with a name",
        "abstract socket",
        "pair of sockets",
        "netlink",
        "fork",
        "kill its parent",
        "signal a thread of its parent",
        "signal a thread of anybody",
        "be signalled for its parent",
        "its parent's descriptors",
        "memory as a file",
        "shared memory beyond its limit",
        "a stack beyond its limit",
        "be readable for others",
        "make memory executable",
        "executable memory",
        "link by name",
        "make a folder",
    }
    assert set((await tried(sorted(names), target, _UNWALLED)).items()) == {(name, "done") for name in names}


@pytest.mark.parametrize("name", ["execute", "execute a descriptor"])
async def test_without_walls_a_process_can_become_another_program(name: str, target: Path) -> None:
    with pytest.raises(ImageError, match="exit status 0"):
        await tried([name], target, _UNWALLED)


async def test_memory_is_limited_with_each_wall_alone_and_without(target: Path) -> None:
    for worker in ("tests.support.landlock_alone", "tests.support.seccomp_alone", _UNWALLED):
        assert await tried(["memory beyond its limit"], target, worker) == {
            "memory beyond its limit": "denied: no memory"
        }


async def test_nothing_starts_where_a_wall_is_required_and_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.sandbox.walls.Walls.missing", lambda _: ["seccomp"])
    with pytest.raises(SettingsError, match=r"SANDBOX=required, .* no seccomp"):
        async with Pool.open(1, Limits(walls_required=True)):
            pass
    async with Pool.open(1, Limits()) as pool:
        await pool.start_one()
        assert pool.trouble() is None
