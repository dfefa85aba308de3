"""Commands of the services, each in a process of its own that has loaded them already: a twentieth of a start.

Run as a program, this loads the services that it is given. Each line of its input orders a command; a fork runs it.
"""

import importlib
import json
import os
import runpy
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Self

SERVICES = ("ingest", "resizer", "publisher", "migrator", "standalone")


class Preloaded:
    """The process that has loaded all services. `environment` is what each command finds."""

    def __init__(self, process: subprocess.Popen[str], folder: str, environment: Mapping[str, str]) -> None:
        self._process = process
        self._folder = folder
        self._environment = environment

    @classmethod
    @contextmanager
    def opened(cls, environment: Mapping[str, str]) -> Iterator[Self]:
        """It ends with the context."""
        command = [sys.executable, __file__, *SERVICES]
        with (
            TemporaryDirectory() as folder,
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process,
        ):
            yield cls(process, folder, environment)
            assert process.stdin is not None
            process.stdin.close()

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """What `python -m` with the command does."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        outputs = [f"{self._folder}/{name}" for name in ("out", "err")]
        order = {"command": command, "environment": dict(self._environment), "outputs": outputs}
        print(json.dumps(order), file=self._process.stdin, flush=True)
        status = int(self._process.stdout.readline())
        texts = []
        for path in outputs:
            with open(path) as file:  # noqa: PTH123 - a line is enough
                texts.append(file.read())
        return subprocess.CompletedProcess(["python", "-m", *command], status, *texts)


def _serve() -> None:
    for service in sys.argv[1:]:
        importlib.import_module(f"{service}.__main__")
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _run(**json.loads(line))
            return
        sys.stdout.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")
        sys.stdout.flush()


def _run(command: list[str], environment: dict[str, str], outputs: list[str]) -> None:
    for descriptor, path in ((0, os.devnull), *enumerate(outputs, 1)):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC), descriptor)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = command
    runpy.run_module(command[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _serve()
