"""Debian's RabbitMQ as a process of the tests: its folder, how it starts, and what Erlang calls it."""

import os
import shutil
import subprocess
from pathlib import Path

from tests.support.servers import Stopper, launch

PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")  # Debian's wrapper in /usr/sbin insists on its own user

PORTS = ("amqp", "dist", "management", "epmd")

# One Erlang scheduler is plenty, and leaves the cores to what is tested.
MODEST = {"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none"}

# Erlang nodes find each other by a daemon of their machine, which the first one would start and leave behind. This one
# is the broker's own, and ends with its process group.
_WITH_EPMD = 'epmd & until epmd -names >/dev/null 2>&1; do sleep 0.1; done; exec "$0"'


def prepare(folder: Path, ports: dict[str, int], settings: str = "") -> None:
    """Make the folder of one of Debian's brokers: `ports` has one for each of PORTS, `settings` more lines.

    With a port for `prometheus`, the broker tells its metrics there.
    """
    folder.mkdir()
    plugins = ["rabbitmq_management"]
    if "prometheus" in ports:
        plugins.append("rabbitmq_prometheus")
        settings += f"prometheus.tcp.ip = 127.0.0.1\nprometheus.tcp.port = {ports['prometheus']}\n"
    (folder / "enabled_plugins").write_text(f"[{','.join(plugins)}].\n")
    (folder / "rabbitmq.conf").write_text(
        f"listeners.tcp.default = 127.0.0.1:{ports['amqp']}\n"
        f"management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {ports['management']}\n"
        "disk_free_limit.absolute = 50MB\n" + settings
    )
    if os.geteuid() == 0:
        for path in (folder, *folder.iterdir()):
            shutil.chown(path, "rabbitmq", "rabbitmq")


def launch_debian(folder: Path, ports: dict[str, int], options: str = "") -> tuple[subprocess.Popen[bytes], Stopper]:
    """Start the broker of a prepared folder, also once more with what it had stored; `options` are Erlang's."""
    environment = {
        "HOME": str(folder),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(ports["epmd"]),
        "RABBITMQ_NODENAME": node_name(ports),
        "RABBITMQ_DIST_PORT": str(ports["dist"]),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq"),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_MNESIA_DIR": str(folder / "mnesia" / "node"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        "RABBITMQ_FEATURE_FLAGS_FILE": str(folder / "feature_flags"),
        "RABBITMQ_PLUGINS_EXPAND_DIR": str(folder / "plugins"),
        **{name: f"{value} {options}" for name, value in MODEST.items()},
    }
    return launch(
        [*as_user(), "sh", "-c", _WITH_EPMD, str(PROGRAM)], folder.parent / f"{folder.name}-process", environment
    )


def node_name(ports: dict[str, int]) -> str:
    """What Erlang calls the broker of these ports."""
    return f"tests-{ports['amqp']}@localhost"


def as_user() -> list[str]:
    """What begins a command of Debian's broker, which has a user of its own."""
    return ["setpriv", "--reuid=rabbitmq", "--regid=rabbitmq", "--init-groups"] if os.geteuid() == 0 else []
