"""The decoding process: started fresh, without credentials, under limits, and replaced when it dies.

Run by the pool as `python -m common.sandbox.worker MEMORY_MB NICENESS ANSWERS MODULE...`: ANSWERS is the descriptor of
the memory for blobs, MODULE one with operations. It takes calls on standard input and answers on standard output until
the input ends. Standard input is a Unix socket, because a descriptor of the original comes with a call.
"""

import importlib
import json
import mmap
import os
import pickle
import resource
import socket
import sys
import traceback
from dataclasses import asdict, replace

import pyvips

from common.errors import FailureClass, ImageError
from common.sandbox.answer_memory import write_blobs
from common.sandbox.faults import explain, fault_of
from common.sandbox.protocol import LENGTH, MAX_REASON, MAX_TRACE, OPERATIONS, Call, Hello, Original, Reply, pack_answer
from common.sandbox.undumpable import become_undumpable
from common.sandbox.walls import confine

_STACK = 8 << 20  # bytes; what Linux gives by default
# Bytes of addresses beside those of memory and answers: libraries, threads' stacks, a mapped original. Without a limit,
# pages that are only read could fill the kernel's tables, which no other limit counts: a byte for 512 of addresses.
_OTHER_ADDRESSES = 8 << 30


def main() -> None:
    """Serve calls until standard input ends."""
    become_undumpable()  # before there is any photo in its memory
    calls = socket.socket(fileno=os.dup(0))
    replies = os.fdopen(os.dup(1), "wb")
    answers = _inherited(int(sys.argv[3]))
    # What a library prints must neither end up between the replies nor in the log: a stranger's image chose the words.
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    os.nice(int(sys.argv[2]))
    for module in sys.argv[4:]:
        importlib.import_module(module)
    _limit(int(sys.argv[1]))
    replies.write(pack_answer(Hello(walls=confine())))
    replies.flush()
    while (received := _receive(calls)) is not None:
        reply = _perform(*received, answers)
        replies.write(pack_answer(replace(reply, token=received[0].token)))
        replies.flush()


def _limit(memory_mb: int) -> None:
    memory = memory_mb << 20
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    for limit, most in ((resource.RLIMIT_STACK, _STACK), (resource.RLIMIT_AS, 2 * memory + _OTHER_ADDRESSES)):
        _, hard = resource.getrlimit(limit)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)  # noqa: PLW2901
        resource.setrlimit(limit, (most, most))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    pyvips.cache_set_max(0)
    pyvips.block_untrusted_set(True)
    # SVG is in the list of untrusted loaders, and is accepted all the same: only ever from a buffer, since a file
    # name lets it read its neighbours.
    pyvips.operation_block_set("VipsForeignLoadSvgBuffer", False)


def _receive(calls: socket.socket) -> tuple[Call, int | None] | None:
    """The next call, and the descriptor that came with it; None where the calls end."""
    head, descriptors, _, _ = socket.recv_fds(calls, LENGTH.size, 1, socket.MSG_CMSG_CLOEXEC)
    if len(head) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(head)
    body, _, _, _ = calls.recvmsg(length, 0, socket.MSG_WAITALL)
    if len(body) < length:
        return None
    call: Call = pickle.loads(body)  # noqa: S301 - the service wrote it
    return call, next(iter(descriptors), None)


def _inherited(descriptor: int) -> mmap.mmap:
    """The memory behind an inherited descriptor, which is closed."""
    try:
        return mmap.mmap(descriptor, os.fstat(descriptor).st_size)
    finally:
        os.close(descriptor)


def _mapped(descriptor: int) -> Original:
    """The file in memory, as far as it is looked at; the descriptor is closed. Raises OSError."""
    try:
        size = os.fstat(descriptor).st_size
        return mmap.mmap(descriptor, size, prot=mmap.PROT_READ) if size else b""  # nothing cannot be mapped
    finally:
        os.close(descriptor)


def _perform(call: Call, descriptor: int | None, answers: mmap.mmap) -> Reply:
    """Do what the call says, and write the blobs of the answer where the service finds them."""
    try:
        original = b"" if descriptor is None else _mapped(descriptor)
        job = pickle.loads(call.job)  # noqa: S301 - the service wrote it
        result, blobs = OPERATIONS[call.operation](job, original)
        write_blobs(answers, blobs)
    except ImageError as error:
        return Reply(fault=error.fault, reason=error.reason[:MAX_REASON])
    except MemoryError:
        return Reply(fault=FailureClass.MEMORY, reason="it needs more memory than an image may take")
    except OSError as error:
        return Reply(system_error=str(error)[:MAX_REASON])
    except Exception as error:  # noqa: BLE001 - the pool logs it: what this process prints may be lost
        if isinstance(error, pyvips.Error) and (fault := fault_of(error)) is not None:
            return Reply(fault=fault, reason=explain(error)[:MAX_REASON])
        return Reply(trace=traceback.format_exc()[-MAX_TRACE:])
    return Reply(result=json.dumps(asdict(result)), blobs=[len(blob) for blob in blobs])


if __name__ == "__main__":
    main()
