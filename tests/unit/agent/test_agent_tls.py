"""Which certificates are the controller's."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from wireguard_operator.agent.bundle import Bundle
from wireguard_operator.agent.protocol import CONTROLLER_NAME, agent_name
from wireguard_operator.agent.tls import BundleError, is_controller, server_context
from wireguard_operator.domain.certificates import Usage, issue, make_authority

NOW = datetime.now(UTC)
AUTHORITY = make_authority(NOW)
AGENT = agent_name("isp", "berlin")


def der(name: str, usage: Usage) -> bytes:
    return x509.load_pem_x509_certificate(issue(AUTHORITY, name, usage, NOW).certificate.encode()).public_bytes(
        Encoding.DER
    )


@pytest.mark.parametrize(
    ("name", "usage", "expected"),
    [
        (CONTROLLER_NAME, Usage.CONTROLLER, True),
        (CONTROLLER_NAME, Usage.AGENT, False),
        (AGENT, Usage.CONTROLLER, False),
        ("x" + CONTROLLER_NAME, Usage.CONTROLLER, False),
        ("*.wireguard.dotmac.io", Usage.CONTROLLER, False),
    ],
)
def test_name_and_purpose_must_both_be_the_controllers(name: str, usage: Usage, expected: bool) -> None:
    assert is_controller(der(name, usage)) is expected


def test_a_certificate_without_names_or_none_at_all_is_nobodys() -> None:
    authority = x509.load_pem_x509_certificate(AUTHORITY.certificate.encode()).public_bytes(Encoding.DER)
    assert not is_controller(authority)
    assert not is_controller(None)
    assert not is_controller(b"nonsense")


def bundle(**changes: str) -> Bundle:
    own = issue(AUTHORITY, AGENT, Usage.AGENT, NOW)
    fields = {"certificate": own.certificate, "private_key": own.private_key, "ca": AUTHORITY.certificate, **changes}
    return Bundle(server="isp/berlin", listen="127.0.0.1:1", **fields)


def test_a_context_demands_a_certificate_and_a_new_tls() -> None:
    context = server_context(bundle())
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("field", ["certificate", "private_key", "ca"])
def test_a_bundle_that_does_not_fit_together_is_refused_without_quoting_it(field: str) -> None:
    other = issue(AUTHORITY, AGENT, Usage.AGENT, NOW)
    for value in ("nonsense", "", other.private_key):
        with pytest.raises(BundleError) as caught:
            server_context(bundle(**{field: value}))
        assert "KEY" not in str(caught.value)
