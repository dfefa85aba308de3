"""What code that has taken a decoding process over can write to the service in place of an answer."""

import inspect
import json
import os
import stat
import time
from dataclasses import asdict

from common.sandbox.protocol import LENGTH, Reply, pack_answer


def boast() -> str:
    """An answer that claims to have taken all of the CPU's time."""
    reply = asdict(Reply(result='{"text": "boast"}', token=_token())) | {"cpu_seconds": 1e300}
    body = json.dumps(reply).encode()
    os.write(_replies(), LENGTH.pack(len(body)) + body)
    time.sleep(3600)
    return ""


def answer_early() -> str:
    """The answer to the next job, written in place of this one's."""
    reply = Reply(result='{"text": "forged"}', token="0" * 32)
    os.write(_replies(), pack_answer(reply))
    time.sleep(3600)
    return ""


def answer_twice() -> str:
    """A true answer, and at once the one to the next job."""
    true = Reply(result='{"text": "first"}', token=_token())
    forged = Reply(result='{"text": "forged"}', token="0" * 32)
    os.write(_replies(), pack_answer(true) + pack_answer(forged))
    time.sleep(3600)
    return ""


def answer_too_much() -> str:
    """An answer that the service would run out of memory by reading."""
    reply = Reply(result='{"text": "much", "blobs": 4}', token=_token(), blobs=[1 << 28] * 4)
    os.write(_replies(), pack_answer(reply))
    while True:
        os.write(_replies(), bytes(1 << 20))


def answer_without_end() -> str:
    """An answer that is longer than any, and is never over."""
    os.write(_replies(), b"\xff" * 4)
    while True:
        os.write(_replies(), bytes(1 << 20))


def _token() -> str:
    """That of the call in hand, as code finds it that can read this process's memory."""
    frame = inspect.currentframe()
    while frame is not None and "call" not in frame.f_locals:
        frame = frame.f_back
    assert frame is not None
    return str(frame.f_locals["call"].token)


def _replies() -> int:
    """The pipe that the answers go to."""
    return next(number for number in range(3, 20) if _is_pipe(number))


def _is_pipe(descriptor: int) -> bool:
    try:
        return stat.S_ISFIFO(os.fstat(descriptor).st_mode)
    except OSError:
        return False
