"""`python -m tests.support.install`: Debian's servers, where neither the environment nor Docker has them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.docker import has_engine

_NEEDED = {
    "TEST_RABBITMQ": (Path("/usr/lib/rabbitmq/bin/rabbitmq-server"), ["rabbitmq-server"]),
    "TEST_S3_ENDPOINT": (
        Path("/usr/bin/radosgw"),
        ["ceph-mon", "ceph-osd", "ceph-mgr", "radosgw", "ceph-common", "uuid-runtime"],
    ),
}
_TOOLS = {"curl": "curl"}


def missing() -> list[str]:
    """The Debian packages that are not installed and are needed."""
    packages = [package for tool, package in _TOOLS.items() if shutil.which(tool) is None]
    if has_engine():
        return packages
    for variable, (program, names) in _NEEDED.items():
        if variable not in os.environ and not program.exists():
            packages += names
    return packages


def main() -> None:
    """Install what is missing, or say what to install."""
    packages = missing()
    if not packages:
        return
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        sys.exit(f"the tests need a Docker engine, or Debian's packages: {' '.join(packages)}")
    print("installing", *packages, flush=True)  # noqa: T201
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-q"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(
        ["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages],
        check=True,
        stdout=subprocess.DEVNULL,
        env=environment,
    )


if __name__ == "__main__":
    main()
