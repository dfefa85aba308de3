"""One job of a decoding process, and what its reply comes to."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import structlog

from common.errors import Defect, ImageError, Transient
from common.sandbox.protocol import Job, Reply, Result, nonsense
from common.sandbox.replies import read_form

log = structlog.get_logger()

R = TypeVar("R", bound=Result)


@dataclass(frozen=True)
class Work(Generic[R]):
    """A job: the operation's short name and its full one, what it takes, and the type of its result."""

    name: str
    operation: str
    job: Job
    result: type[R]
    count_cpu: Callable[[float], None]

    def result_of(self, reply: Reply) -> R:
        """The result, which fits the job and the number of blobs. Raises ImageError, Transient or Defect otherwise."""
        if reply.trace:
            log.error("a decoding process met a defect", operation=self.name, trace=reply.trace)
            raise Defect(f"a defect in {self.name}")
        if reply.system_error:
            raise Transient(f"its decoder cannot do its work: {reply.system_error}")
        if reply.fault is not None:
            raise ImageError(reply.fault, reply.reason)
        try:
            found = read_form(self.result, reply.result or "")
            expected = found.blobs_for(self.job)
        except ValueError as error:
            raise nonsense() from error
        if len(reply.blobs) != expected:
            raise nonsense()
        return found
