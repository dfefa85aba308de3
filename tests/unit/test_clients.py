"""Who counts as a client, with and without proxies before the service."""

from ipaddress import ip_network
from unittest.mock import Mock

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict
from tests.unit.test_settings import GIVEN

from common.errors import SettingsError
from common.http.clients import client_of
from common.settings.base import read_settings
from ingest.settings import IngestServiceSettings

DEFAULT = read_settings(IngestServiceSettings, GIVEN).trusted_proxies
CDN = (*DEFAULT, ip_network("198.51.100.0/24"))


def client(peer: str, *forwarded: str, trusted: object = DEFAULT) -> str | None:
    transport = Mock()
    transport.get_extra_info = lambda name, default=None: (peer, 40_000) if name == "peername" else default
    headers = CIMultiDict([("X-Forwarded-For", value) for value in forwarded])
    request = make_mocked_request("GET", "/", headers, transport=transport)
    return client_of(request, trusted)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("203.0.113.5", (), "203.0.113.5"),
        ("::ffff:203.0.113.5", (), "203.0.113.5"),
        ("203.0.113.5", ("192.0.2.1",), "203.0.113.5"),  # a stranger's word
        ("10.1.2.3", ("192.0.2.1, 203.0.113.5",), "203.0.113.5"),
        ("10.1.2.3", ("192.0.2.1", "203.0.113.5, 172.18.0.2"), "203.0.113.5"),
        ("10.1.2.3", ("203.0.113.5:51000",), "203.0.113.5"),
        ("fd00::1", ("[2001:db8:1:2:3::4]:51000",), "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", (), "2001:db8:1:2::/64"),
    ],
)
def test_the_client_is_the_nearest_address_that_is_no_trusted_proxy(
    peer: str, forwarded: tuple[str, ...], expected: str
) -> None:
    assert client(peer, *forwarded) == expected


@pytest.mark.parametrize(
    ("peer", "forwarded"),
    [
        ("10.1.2.3", ()),
        ("127.0.0.1", ()),
        ("fe80::1%eth0", ()),
        ("10.1.2.3", ("192.168.1.1",)),
        ("10.1.2.3", ("203.0.113.5, unknown",)),  # what is left of it may be the client's own word
        ("10.1.2.3", ("203.0.113.5, 1.2.3.4.5, 10.0.0.1",)),
    ],
)
def test_a_proxy_that_does_not_tell_its_clients_is_not_taken_for_one(peer: str, forwarded: tuple[str, ...]) -> None:
    assert client(peer, *forwarded) is None


def test_proxies_with_public_addresses_are_trusted_where_they_are_named() -> None:
    assert client("10.1.2.3", "203.0.113.5, 198.51.100.7") == "198.51.100.7"
    assert client("10.1.2.3", "203.0.113.5, 198.51.100.7", trusted=CDN) == "203.0.113.5"


def test_networks_are_read_and_others_refused() -> None:
    given = read_settings(IngestServiceSettings, GIVEN | {"TRUSTED_PROXIES": "192.0.2.1, 2001:db8::/32"})
    assert given.trusted_proxies == (ip_network("192.0.2.1/32"), ip_network("2001:db8::/32"))
    for wrong in ("gateway", "10.0.0.1/8", "10.0.0.0/40"):
        with pytest.raises(SettingsError) as error:
            read_settings(IngestServiceSettings, GIVEN | {"TRUSTED_PROXIES": wrong})
        (line,) = error.value.lines
        assert line.startswith(f"TRUSTED_PROXIES '{wrong}' cannot be used: ")
        assert "expected addresses or networks like 10.0.0.0/8, separated by commas" in line
