"""Types of settings' values: how the text of a variable is read, and what it may hold."""

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field
from yarl import URL

from common.logs import LogFormat, LogLevel

_BOOLEANS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


def _boolean(value: object) -> object:
    if isinstance(value, str):
        if value.strip().lower() not in _BOOLEANS:
            raise ValueError("expected 1, true, yes or on, or 0, false, no or off")
        return _BOOLEANS[value.strip().lower()]
    return value


def _lower_case(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


def _origins(value: object) -> object:
    return (
        tuple(part.strip().rstrip("/") for part in value.split(",") if part.strip())
        if isinstance(value, str)
        else value
    )


def _prefix(value: object) -> object:
    if isinstance(value, str) and value:
        value = "/" + value.strip("/")
        if value == "/":
            return ""
    return value


def broker_addresses(value: str) -> tuple[str, ...]:
    """The addresses in RABBITMQ_URL. Only a comma before a scheme is between two: passwords have some, too."""
    return tuple(part.strip() for part in re.split(r",(?=\s*amqps?://)", value))


def _broker(value: object) -> object:
    if isinstance(value, str) and not all(map(_is_broker, broker_addresses(value))):
        raise ValueError(
            "expected amqp://USER:PASSWORD@HOST:PORT/VHOST, or amqps://, and for several nodes the whole of it for "
            "each, separated by commas"
        )
    return value


def _is_broker(address: str) -> bool:
    try:
        url = URL(address)
    except ValueError:
        return False
    host = url.host or ","
    return url.scheme in ("amqp", "amqps") and "," not in host + url.raw_path


def _path(value: str) -> str:
    if not re.fullmatch(r"(/[A-Za-z0-9/_.-]*)?", value):
        raise ValueError("expected a path of letters, digits, /, _, . and -, which begins with /")
    return value


def _collector(value: str) -> str:
    try:
        url = URL(value)
    except ValueError:
        url = URL()
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError("expected http://HOST:PORT or https://HOST:PORT, with or without a path")
    return value


def _header(value: str) -> str:
    if not re.fullmatch(r"[ -~]*", value):
        raise ValueError("expected plain ASCII, as it stands in a header")
    return value


def _networks(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return tuple(ip_network(part.strip()) for part in value.split(",") if part.strip())
    except ValueError as error:
        raise ValueError(f"{error}: expected addresses or networks like 10.0.0.0/8, separated by commas") from error


Boolean = Annotated[bool, BeforeValidator(_boolean)]
BrokerUrl = Annotated[str, BeforeValidator(_broker)]
ChosenLogFormat = Annotated[LogFormat, BeforeValidator(_lower_case)]  # in any case of letters
ChosenLogLevel = Annotated[LogLevel, BeforeValidator(_lower_case)]
CollectorUrl = Annotated[str, AfterValidator(_collector)]
HeaderValue = Annotated[str, AfterValidator(_header)]
Network = IPv4Network | IPv6Network
Networks = Annotated[tuple[Network, ...], BeforeValidator(_networks)]  # separated by commas
Origins = Annotated[tuple[str, ...], BeforeValidator(_origins)]  # separated by commas
Port = Annotated[int, Field(ge=0, le=65535)]
RoutePrefix = Annotated[str, BeforeValidator(_prefix), AfterValidator(_path)]  # empty, or like /images
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
UrlPath = Annotated[str, AfterValidator(_path)]
