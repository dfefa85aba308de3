"""Which client a request is of: the connection's other end, or what trusted proxies say in X-Forwarded-For."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from aiohttp import hdrs, web

from common.settings.values import Network

EVERYWHERE: tuple[Network, ...] = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))
_IPV6_SITE = 64  # bits: whoever has one address of such a network has all of them


def client_of(request: web.Request, trusted: Iterable[Network]) -> str | None:
    """The client's address, for IPv6 its network, or None where only trusted proxies are known.

    X-Forwarded-For is read from the right, as far as trusted proxies have written it. A client can write the rest.
    """
    for address in _senders(request):
        if not _is_in(address, trusted):
            return _counted_as(address)
    return None


def connected_client(address: str, trusted: Iterable[Network]) -> str | None:
    """The client at the other end of a connection: its address, for IPv6 its network, or None for a trusted proxy."""
    found = _address(address)
    return None if _is_in(found, trusted) else _counted_as(found)


def _is_in(address: IPv4Address | IPv6Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks)


def _senders(request: web.Request) -> Iterator[IPv4Address | IPv6Address]:
    """The addresses from the nearest one on. An entry that is no address ends them."""
    forwarded = ",".join(request.headers.getall(hdrs.X_FORWARDED_FOR, ())).split(",")
    with suppress(ValueError):
        yield _address(request.remote or "")
        for entry in reversed(forwarded):
            yield _address(entry.strip())


def _address(text: str) -> IPv4Address | IPv6Address:
    """Raises ValueError. Some proxies add the port."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    address = ip_address(text.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address


def _counted_as(address: IPv4Address | IPv6Address) -> str:
    if isinstance(address, IPv4Address):
        return str(address)
    return str(IPv6Network((address, _IPV6_SITE), strict=False))
