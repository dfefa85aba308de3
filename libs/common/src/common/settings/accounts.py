"""The accounts of buckets on S3 servers, from the variables that begin with a bucket's prefix."""

import os
import re
from collections.abc import Mapping
from typing import Self

from pydantic import BaseModel
from yarl import URL

_AWS = ("amazonaws.com", "amazonaws.com.cn")


class S3Variables(BaseModel):
    """The account of one bucket, from the variables that begin with its prefix."""

    endpoint: str | None = None
    access_key_id: str | None = None
    secret_key: str | None = None
    default_region: str | None = None

    @classmethod
    def read(cls, prefix: str | None, environment: Mapping[str, str] | None = None) -> Self:
        """The variables `<PREFIX>_ENDPOINT` and so on; without a prefix all are unset: AWS' own defaults count."""
        variables = os.environ if environment is None else environment
        if prefix is None:
            return cls()
        return cls(**{name: variables.get(f"{prefix}_{name.upper()}") or None for name in cls.model_fields})


def server(endpoint: str | None) -> str:
    """What is equal for two spellings of one server's address. A bucket's name is unique on AWS as a whole."""
    url = URL(endpoint or f"https://{_AWS[0]}")
    host = (url.host or "").rstrip(".")
    return _AWS[0] if host.endswith(_AWS) else f"{host}:{url.port}{url.path.rstrip('/')}"


def account_errors(given: Mapping[str, str]) -> list[str]:
    """What is wrong with the variables that the prefixes stand for, a line each.

    A prefix whose variables are not there must not end in AWS' own defaults, and so with somebody else's store.
    """
    lines: list[str] = []
    names = ("INCOMING_PREFIX", "ACTIVE_PREFIX") if given.get("STORAGE_BACKEND") == "s3" else ()
    for name, prefix in {name: given[name] for name in (*names, "V5_PREFIX") if name in given}.items():
        if not re.fullmatch(r"\w+", prefix, re.ASCII):
            lines.append(f"{name} {prefix!r} cannot be used: expected letters, digits and _, as of a variable's name")
            continue
        account = S3Variables.read(prefix, given)
        if account == S3Variables():
            variables = ", ".join(f"{prefix}_{field.upper()}" for field in S3Variables.model_fields)
            lines.append(f"{name} {prefix!r} names no account: expected at least one of {variables}")
        elif (account.access_key_id is None) != (account.secret_key is None):
            lines.append(f"{name} {prefix!r}: expected both {prefix}_ACCESS_KEY_ID and {prefix}_SECRET_KEY, or neither")
        if account.endpoint is not None and not _is_address(account.endpoint):
            lines.append(f"{prefix}_ENDPOINT cannot be used: expected http://HOST:PORT or https://HOST:PORT")
    return list(dict.fromkeys(lines))


def one_bucket(given: Mapping[str, str], first: str, second: str) -> bool:
    """Whether the settings `<FIRST>_BUCKET` and `<SECOND>_BUCKET` name one bucket of one server."""
    names = {given.get(f"{which}_BUCKET") for which in (first, second)}
    servers = {server(S3Variables.read(given.get(f"{which}_PREFIX"), given).endpoint) for which in (first, second)}
    return len(names) == 1 and len(servers) == 1


def _is_address(endpoint: str) -> bool:
    try:
        url = URL(endpoint)
        return url.scheme in ("http", "https") and bool(url.host) and url.port is not None
    except ValueError:
        return False
