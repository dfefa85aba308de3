"""An operation for decoding processes that does what an image that took one over could do."""

import ctypes
import mmap
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, make_dataclass
from pathlib import Path
from typing import Any

import pyvips
from tests.support import forged_answers
from tests.support.walls import ATTEMPTS

from common.errors import FailureClass, ImageError
from common.sandbox.protocol import Job, Original, Result, operation
from resizer.operations.render import RenderJob

_SET_NAME = 15  # prctl's


@dataclass(frozen=True)
class Act(Job):
    what: str


@dataclass(frozen=True)
class Answer(Result):
    text: str
    blobs: int = 0

    def blobs_for(self, job: Job) -> int:
        """As many as it says."""
        del job
        return self.blobs


@dataclass(frozen=True, kw_only=True)
class Lie(RenderJob):
    """The result to answer, whatever the job is, and with how many blobs."""

    result: dict[str, Any]
    blobs: int


@operation
def lie(job: Lie, original: Original) -> tuple[Any, list[bytes]]:
    """Answers what the job says."""
    del original
    return make_dataclass("Answered", job.result)(**job.result), [b"x"] * job.blobs


@operation
def act(job: Act, original: Original) -> tuple[Answer, list[bytes]]:
    """Does what the job says."""
    what = job.what
    if what == "read on":
        ctypes.CDLL(None).prctl(_SET_NAME, b"reading")
        while original[-1] == 0:
            time.sleep(0.01)
    elif what.startswith("crash in:"):
        _crash_in(int(what[9:]))
    elif what.startswith("write:"):
        return Answer(text=_write(Path(what[6:]))), []
    elif what.startswith("attempt:"):
        _, name, target = what.split(":", 2)
        return Answer(text=ATTEMPTS[name](Path(target))), []
    elif what == "rename":
        ctypes.CDLL(None).prctl(_SET_NAME, b"\xff) R 1")
    elif what == "lie":
        return Answer(**_WRONG), []
    elif what.startswith("much:"):
        return Answer(text="much", blobs=1), [bytes(int(what[5:]))]
    elif what in _ACTS:
        return Answer(text=_ACTS[what]()), []
    return Answer(text="done", blobs=2), [b"blob", b""]


def _crash_in(pid: int) -> None:
    if os.getpid() == pid:
        os.abort()


def _segfault() -> str:
    ctypes.string_at(0)
    return ""


def _killed(number: int) -> str:
    signal.pthread_kill(threading.get_ident(), number)
    return ""


def _hang() -> str:
    time.sleep(3600)
    return ""


def _burn() -> str:
    while True:
        pass


def _eat() -> str:
    return str(len(bytearray(2 << 30)))


def _burn_on() -> str:
    signal.signal(signal.SIGXCPU, signal.SIG_IGN)
    return _burn()


def _leave_running() -> str:
    """An answer, while a thread goes on."""
    signal.signal(signal.SIGXCPU, signal.SIG_IGN)
    threading.Thread(target=_burn, daemon=True).start()
    return str(os.getpid())


def _threads(number: int) -> str:
    threading.stack_size(128 << 10)
    for _ in range(number):
        threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()
    return str(os.getpid())


def _deep_stack() -> str:
    """What lies a hundred megabytes below the top of the stack is written to."""
    top = ctypes.c_void_p.in_dll(ctypes.CDLL(None), "__libc_stack_end").value
    assert top is not None
    ctypes.memset(top - (100 << 20), 1, 1)
    return "done"


def _many_addresses() -> str:
    """A terabyte that is only read: 2 GB of the kernel's tables would describe it."""
    return str(mmap.mmap(-1, 1 << 40, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=mmap.PROT_READ)[0])


def _babble() -> str:
    for descriptor in range(3, 12):
        try:
            os.write(descriptor, b"\xff" * 100_000)
        except OSError:
            continue
    return ""


def _refuse() -> str:
    raise ImageError(FailureClass.UNSUPPORTED, "it is not a JPEG, PNG, GIF or SVG image")


def _pid() -> str:
    time.sleep(0.2)  # so that every process gets to answer
    return str(os.getpid())


def _write(path: Path) -> str:
    try:
        path.write_bytes(b"x")
    except OSError as error:
        return str(error.strerror)
    return "written"


_WRONG: dict[str, Any] = {"text": 5}
_ACTS: dict[str, Callable[[], str]] = {
    "segfault": _segfault,
    "killed": lambda: _killed(signal.SIGKILL),
    "told to end": lambda: _killed(signal.SIGTERM),
    "abort": os.abort,
    "exit": lambda: os._exit(3),
    "hang": _hang,
    "burn": _burn,
    "burn on": _burn_on,
    "leave running": _leave_running,
    "eat": _eat,
    "leave some threads": lambda: _threads(3),
    "leave many threads": lambda: _threads(40),
    "start threads": lambda: _threads(200) + _hang(),
    "boast": forged_answers.boast,
    "deep stack": _deep_stack,
    "many addresses": _many_addresses,
    "babble": _babble,
    "refuse": _refuse,
    "fail to read": lambda: os.read(99, 1).decode(),
    "defect": lambda: str(1 // 0),
    "wrong call": lambda: str(pyvips.Image.black(4, 4, bands=2).linear([1, 2, 3], [0, 0, 0]).avg()),
    "wrong arguments": lambda: str(pyvips.Image.black(4, 4).crop(1)),
    "no such operation": lambda: str(pyvips.Operation.call("sharpener", pyvips.Image.black(4, 4))),
    "environment": lambda: repr(dict(os.environ)),
    "pid": _pid,
    "answer early": forged_answers.answer_early,
    "answer twice": forged_answers.answer_twice,
    "answer too much": forged_answers.answer_too_much,
    "answer without end": forged_answers.answer_without_end,
}
