"""The accounts of buckets on S3 servers, from the variables that begin with a bucket's prefix."""

import re
from collections.abc import Collection, Mapping
from typing import Self

from pydantic import BaseModel, ConfigDict, SecretStr
from yarl import URL

_AWS = ("amazonaws.com", "amazonaws.com.cn")


class AccountSettings(BaseModel):
    """The account of one bucket; what is None is left to AWS' own defaults."""

    model_config = ConfigDict(frozen=True)

    endpoint: str | None = None
    access_key_id: str | None = None
    secret_key: SecretStr | None = None
    default_region: str | None = None

    @classmethod
    def read(cls, prefix: str | None, given: Mapping[str, str]) -> Self:
        """The account in the variables `<PREFIX>_ENDPOINT` and so on; without a prefix all of it is None."""
        if prefix is None:
            return cls()
        values = {name: given.get(f"{prefix}_{name.upper()}") or None for name in cls.model_fields}
        return cls.model_validate(values)

    @property
    def server(self) -> str:
        """What is equal for two spellings of the server's address."""
        return canonical_server(self.endpoint)


def canonical_server(endpoint: str | None) -> str:
    """What is equal for two spellings of one server's address. A bucket's name is unique on AWS as a whole."""
    url = URL(endpoint or f"https://{_AWS[0]}")
    host = (url.host or "").rstrip(".")
    return _AWS[0] if host.endswith(_AWS) else f"{host}:{url.port}{url.path.rstrip('/')}"


def used_prefixes(given: Mapping[str, str]) -> dict[str, str]:
    """The prefixes of the accounts that are used, by the settings that give them."""
    names = ("INCOMING_PREFIX", "ACTIVE_PREFIX") if given.get("STORAGE_BACKEND") == "s3" else ()
    return {name: given[name] for name in (*names, "V5_PREFIX") if name in given}


def account_errors(given: Mapping[str, str], unread: Collection[str]) -> list[str]:
    """What is wrong with the variables that begin with the prefixes, a line each.

    A prefix without variables is an error: AWS' own defaults would then choose another account. `unread` are variables
    whose file cannot be used: they are reported elsewhere.
    """
    lines: list[str] = []
    for name, prefix in used_prefixes(given).items():
        if not re.fullmatch(r"\w+", prefix, re.ASCII):
            lines.append(f"{name} {prefix!r} cannot be used: expected letters, digits and _, as of a variable's name")
            continue
        account = AccountSettings.read(prefix, given)
        if f"{prefix}_SECRET_KEY" not in unread:
            if account == AccountSettings():
                variables = ", ".join(f"{prefix}_{field.upper()}" for field in AccountSettings.model_fields)
                lines.append(f"{name} {prefix!r} names no account: expected at least one of {variables}")
            elif (account.access_key_id is None) != (account.secret_key is None):
                lines.append(
                    f"{name} {prefix!r}: expected both {prefix}_ACCESS_KEY_ID and {prefix}_SECRET_KEY, or neither"
                )
        if account.endpoint is not None and not _is_address(account.endpoint):
            lines.append(f"{prefix}_ENDPOINT cannot be used: expected http://HOST:PORT or https://HOST:PORT")
    return list(dict.fromkeys(lines))


def _is_address(endpoint: str) -> bool:
    try:
        url = URL(endpoint)
        return url.scheme in ("http", "https") and bool(url.host) and url.port is not None
    except ValueError:
        return False
