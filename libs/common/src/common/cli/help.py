"""What `--help` says of each command: what it does, what it reads, how it exits, and an example."""

import argparse
import textwrap
from collections.abc import Mapping

from pydantic import BaseModel

_WIDTH = 100
_ALL = "docs/settings.md has all settings in a table, with what they mean and their defaults."
_ACCOUNTS = "A bucket's account on S3 is in variables that begin with what its PREFIX says: PREFIX_ENDPOINT and so on."


def describe_command(
    parser: argparse.ArgumentParser, about: str, kind: type[BaseModel], exits: Mapping[int, str], example: str
) -> None:
    """Have the parser's help say all of it. `kind` are the settings that the command reads."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = textwrap.fill(about, _WIDTH)
    needed = {name.upper(): field for name, field in kind.model_fields.items() if field.is_required()}
    others = sorted(name.upper() for name, field in kind.model_fields.items() if not field.is_required())
    lines = ["environment:"]
    lines += [f"  {name}: {(field.description or '').replace('`', '')}" for name, field in needed.items()]
    lines += _indented(f"{'Besides, where' if needed else 'Where'} the default will not do: {', '.join(others)}.")
    lines += [*_indented(_ACCOUNTS), *_indented(_ALL), "", "exit status:"]
    lines += [f"  {status}  {meaning}" for status, meaning in sorted(exits.items())]
    parser.epilog = "\n".join([*lines, "", "example:", f"  {example}"])


def _indented(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)
