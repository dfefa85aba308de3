"""A decoding process behind Landlock and without seccomp: run in place of `common.sandbox.worker`."""

from tests.support.unwalled import serve

from common.sandbox.landlock import restrict
from common.sandbox.walls import Walls, readable


def _confine() -> Walls:
    return Walls(landlock=restrict(readable()), seccomp=False)


if __name__ == "__main__":
    serve(_confine)
