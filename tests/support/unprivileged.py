"""Running a command as a user who is not root, whom limits and permissions bind."""

import os

_NOBODY = "65534"


def unprivileged(*command: str, reads_all: bool = True) -> list[str]:
    """The command, as nobody's where the tests run as root. With `reads_all` it finds a Python in root's home, too."""
    if os.getuid() != 0:
        return list(command)
    capability = "+dac_read_search" if reads_all else "-all"
    user = [f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups"]
    return ["setpriv", *user, f"--inh-caps={capability}", f"--ambient-caps={capability}", *command]
