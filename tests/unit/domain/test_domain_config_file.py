"""A configuration is read back as it was written, and what cannot be read is told without its text."""

from ipaddress import ip_interface, ip_network

import pytest
from hypothesis import given

from tests.client_configs import PEER_PRIVATE, PRESHARED, Settings, any_settings, settings
from wireguard_operator.domain.client_config import EVERYTHING
from wireguard_operator.domain.config_file import UnreadableConfig, read


@given(any_settings())
def test_what_was_written_is_read_back(chosen: Settings) -> None:
    config, server, client = read(chosen.text), chosen.server, chosen.client
    assert config.private_key == chosen.keys.private
    assert config.preshared_key == chosen.keys.preshared
    assert config.server_public_key == chosen.server_key
    assert config.addresses == tuple(map(ip_interface, chosen.addresses))
    assert config.allowed_ips == tuple(map(ip_network, client.allowed_ips or server.client_allowed_ips or EVERYTHING))
    assert config.dns == (client.dns if client.dns is not None else server.dns)
    assert server.endpoint is not None
    assert config.endpoint_host == server.endpoint.host
    assert config.endpoint_port == (server.endpoint.port or server.listen_port)


@pytest.mark.parametrize(
    ("find", "put", "named"),
    [
        ("MTU = 1420\n", "", "no line MTU"),
        ("Endpoint = vpn.example.net:51820\n", "", "no line Endpoint"),
        ("MTU = 1420", "MTU = much", "a value"),
        (PEER_PRIVATE, PEER_PRIVATE[:-4], "a value"),
        (PRESHARED.reveal(), "x" + PRESHARED.reveal(), "a value"),
        ("MTU = 1420", "MTU 1420", "line 4"),
    ],
)
def test_a_spoilt_configuration_is_told_without_its_keys(find: str, put: str, named: str) -> None:
    text = settings(preshared=PRESHARED).text.replace(find, put, 1)
    with pytest.raises(UnreadableConfig, match=named) as caught:
        read(text)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert PEER_PRIVATE[:-4] not in str(caught.value)
    assert PRESHARED.reveal() not in str(caught.value)
