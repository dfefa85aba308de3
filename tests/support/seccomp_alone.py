"""A decoding process behind seccomp and without Landlock: run in place of `common.sandbox.worker`."""

from tests.support.unwalled import serve

from common.sandbox.seccomp import confine
from common.sandbox.walls import Walls


def _confine() -> Walls:
    return Walls(landlock=0, seccomp=confine())


if __name__ == "__main__":
    serve(_confine)
