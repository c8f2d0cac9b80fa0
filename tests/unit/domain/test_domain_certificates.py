"""Certificates that hosts ask for."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from wireguard_operator.agent.protocol import CONTROLLER_NAME, agent_name, server_of
from wireguard_operator.domain import certificates
from wireguard_operator.domain.certificates import RequestError, Usage

NOW = datetime(2030, 1, 1, tzinfo=UTC)
LIFE = timedelta(days=90)
AUTHORITY = certificates.make_authority(NOW)
NAME = agent_name("isp", "berlin.west")


def sign(request: str) -> x509.Certificate:
    text = certificates.sign(AUTHORITY, request, NAME, Usage.HOST, NOW, LIFE)
    return x509.load_pem_x509_certificate(text.encode())


def test_a_request_is_signed_for_its_key_and_for_the_name_that_the_controller_says() -> None:
    own = certificates.request(CONTROLLER_NAME)  # what a host would like to be does not matter
    leaf = sign(own.certificate)
    key = serialization.load_pem_private_key(own.private_key.encode(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey) and leaf.public_key() == key.public_key()
    pem = leaf.public_bytes(serialization.Encoding.DER)
    assert certificates.names_of(pem) == (NAME,)
    assert certificates.is_current(
        leaf.public_bytes(serialization.Encoding.PEM).decode(), AUTHORITY.certificate, NAME, NOW
    )
    purposes = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(purposes) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    assert leaf.not_valid_after_utc == NOW + LIFE
    assert own.private_key not in repr(own)


def rsa_request() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def forged() -> str:
    """A request whose key was replaced after it was signed."""
    one, other = (
        x509.load_pem_x509_csr(certificates.request(NAME).certificate.encode()).public_bytes(serialization.Encoding.DER)
        for _ in range(2)
    )
    # The signature is at the end, and may differ in length.
    body = one[: one.index(b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02")]
    rest = other[other.index(b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02") :]
    length = len(body) + len(rest) - 4
    data = b"\x30\x82" + length.to_bytes(2, "big") + body[4:] + rest if one[1] == 0x82 else None
    data = data or b"\x30\x81" + bytes([len(body) + len(rest) - 3]) + body[3:] + rest
    return x509.load_der_x509_csr(data).public_bytes(serialization.Encoding.PEM).decode()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: "nonsense", "is not a PKCS #10 request in PEM"),
        (lambda: AUTHORITY.certificate, "is not a PKCS #10 request in PEM"),
        (rsa_request, "has a key of another kind than EC P-256"),
        (forged, "is not signed with its own key"),
    ],
)
def test_a_request_that_is_none_is_not_signed(make: object, words: str) -> None:
    assert callable(make)
    with pytest.raises(RequestError, match=words):
        sign(make())


def test_renewal_is_due_well_before_two_thirds_of_a_certificate_s_life() -> None:
    text = certificates.sign(AUTHORITY, certificates.request(NAME).certificate, NAME, Usage.HOST, NOW, LIFE)
    due = certificates.renewal_of(text)
    assert due == NOW + LIFE * 0.6 < NOW + LIFE * 2 / 3


def test_a_ca_is_known_by_its_key() -> None:
    assert certificates.fingerprint(AUTHORITY.certificate).startswith("sha256:")
    assert len(certificates.fingerprint(AUTHORITY.certificate)) == 7 + 64
    assert certificates.fingerprint(AUTHORITY.certificate) != certificates.fingerprint(
        certificates.make_authority(NOW).certificate
    )


@pytest.mark.parametrize(
    ("name", "server"),
    [
        (agent_name("isp", "berlin"), ("isp", "berlin")),
        (agent_name("isp", "berlin.west"), ("isp", "berlin.west")),
        (CONTROLLER_NAME, None),
        (".agent.wireguard.dotmac.io", None),
        ("berlin.agent.wireguard.dotmac.io", None),
        ("berlin.isp.agent.wireguard.dotmac.io.example", None),
    ],
)
def test_a_name_is_one_server_s(name: str, server: tuple[str, str] | None) -> None:
    assert server_of(name) == server
