"""Secrets that are given as files, as Docker and Kubernetes do it: `<VARIABLE>_FILE` names the file."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from common.settings.accounts import used_prefixes

SECRETS = ("API_SECRET_KEY", "RABBITMQ_URL", "V5_DATABASE_URL")  # and the secret keys of the accounts


def read_secret_files(given: Mapping[str, str], settings: Iterable[str]) -> tuple[dict[str, str], dict[str, str]]:
    """The secrets among the `settings`, and the accounts' secret keys, that are given as files.

    Returns the contents without their last newline, and an error line for each that cannot be used, both by the
    variable. No line holds a file's content.
    """
    contents: dict[str, str] = {}
    errors: dict[str, str] = {}
    accounts = (f"{prefix}_SECRET_KEY" for prefix in used_prefixes(given).values())
    for name in dict.fromkeys([*(name for name in settings if name in SECRETS), *accounts]):
        path = given.get(f"{name}_FILE")
        if path is None:
            continue
        if name in given:
            errors[name] = f"{name} and {name}_FILE are both set: expected one of them"
            continue
        try:
            text = Path(path).read_text(encoding="utf-8").removesuffix("\n")
        except OSError as error:
            errors[name] = f"{name}_FILE {path} cannot be read: {error.strerror} (expected a file with {name})"
        except UnicodeDecodeError:
            errors[name] = f"{name}_FILE {path} cannot be read: it is not UTF-8 (expected a file with {name})"
        else:
            if text.strip():
                contents[name] = text
            else:
                errors[name] = f"{name}_FILE {path} is empty: expected a file with {name}"
    return contents, errors
