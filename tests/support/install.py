"""`python -m tests.support.install`: Debian's servers, where neither the environment nor Docker has them; and helm."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support import browser, debian_rabbitmq, gateway, imagemagick, kubernetes, postgres, prometheus, s3
from tests.support.docker import can_get

# For each server: the variable that names one, the image that runs it, whether Debian's is there, Debian's packages.
_SERVERS = (
    (
        "TEST_S3_ENDPOINT",
        s3.BASE_IMAGE,
        s3.PROGRAM.exists,
        ["ceph-mon", "ceph-osd", "ceph-mgr", "radosgw", "ceph-common", "uuid-runtime"],
    ),
    (postgres.VARIABLE, postgres.IMAGE, lambda: postgres.programs() is not None, ["postgresql"]),
)
# For each tool: the programs of which one is enough, and Debian's package.
_TOOLS = (
    ((str(debian_rabbitmq.PROGRAM),), "rabbitmq-server"),  # for clusters, wherever the broker is
    (("curl",), "curl"),
    (imagemagick.PROGRAMS, "imagemagick"),
    ((gateway.PROGRAM, f"/usr/sbin/{gateway.PROGRAM}"), "nginx-light"),
    (browser.PROGRAMS, "chromium"),
    (("exiftool",), "libimage-exiftool-perl"),
    ((prometheus.PROGRAM,), "prometheus"),  # which brings promtool
)
# Fonts, which the images bring, too: a file of each, and Debian's package.
FONTS = {"LiberationSans-Regular.ttf": "fonts-liberation", "DejaVuSans.ttf": "fonts-dejavu-core"}
_FONT_FOLDER = Path("/usr/share/fonts")


def missing() -> list[str]:
    """The Debian packages that are needed and not installed."""
    packages = [package for file, package in FONTS.items() if next(_FONT_FOLDER.rglob(file), None) is None]
    packages += [package for programs, package in _TOOLS if not any(map(shutil.which, programs))]
    for variable, image, is_there, names in _SERVERS:
        if variable not in os.environ and not is_there() and not can_get(image):
            packages += names
    return packages


def main() -> None:
    """Install what is missing, or say what to install."""
    kubernetes.install()
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
