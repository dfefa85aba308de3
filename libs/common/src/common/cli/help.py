"""The text of `--help`: what a command does, its environment, its exit status, and an example."""

import argparse
import textwrap
from collections.abc import Mapping

from pydantic import BaseModel

from common.version import VERSION

_WIDTH = 100
_ALL = "docs/settings.md has all settings in a table, with what they mean and their defaults."
_ACCOUNTS = (
    "Each bucket on S3 has its account in PREFIX_ENDPOINT and so on, where PREFIX is the value of its INCOMING_PREFIX, "
    "ACTIVE_PREFIX or V5_PREFIX."
)


def describe_command(
    parser: argparse.ArgumentParser, about: str, kind: type[BaseModel] | None, exits: Mapping[int, str], example: str
) -> None:
    """Set the parser's description, epilog and `--version`. `kind` is the class of settings that the command reads."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = textwrap.fill(about, _WIDTH)
    parser.add_argument(
        "--version", action="version", version=f"image-backend {VERSION}", help="show the version, and exit"
    )
    lines = [] if kind is None else _environment(kind)
    lines += ["exit status:"]
    lines += [f"  {status}  {meaning}" for status, meaning in sorted(exits.items())]
    parser.epilog = "\n".join([*lines, "", "example:", f"  {example}"])


def _environment(kind: type[BaseModel]) -> list[str]:
    needed = {name.upper(): field for name, field in kind.model_fields.items() if field.is_required()}
    others = sorted(name.upper() for name, field in kind.model_fields.items() if not field.is_required())
    lines = ["environment:"]
    lines += [f"  {name}: {(field.description or '').replace('`', '')}" for name, field in needed.items()]
    lines += _indented(f"{'Also read, with defaults' if needed else 'Read, with defaults'}: {', '.join(others)}.")
    return [*lines, *_indented(_ACCOUNTS), *_indented(_ALL), ""]


def _indented(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)
