"""The operator's own certificate authority for the link between controller and agents.

A public CA has nothing to say about who may configure a VPN server, so both sides trust this one alone.
Keys are EC P-256; names are identities (see ``agent.protocol``), not addresses.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_LIFETIME = timedelta(days=3650)
LEAF_LIFETIME = timedelta(days=730)
CLOCK_SKEW = timedelta(minutes=5)
RENEWAL_SHARE = 0.6
"""Of its life, after which a host renews its certificate: well before two thirds, with time left for many tries."""


class Usage(Enum):
    """Which side of the link a certificate is for (RFC 5280 section 4.2.1.12)."""

    AGENT = (ExtendedKeyUsageOID.SERVER_AUTH,)
    CONTROLLER = (ExtendedKeyUsageOID.CLIENT_AUTH,)
    HOST = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
    """An agent that may dial the controller, too, and renew this certificate with itself."""


class RequestError(ValueError):
    """A certificate request is none that is signed; the text says why."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate and its key, both PEM."""

    certificate: str
    private_key: str = field(repr=False)


def make_authority(now: datetime) -> Certificate:
    """A fresh CA that signs leaves only."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "wireguard-operator agents CA")])
    builder = _builder(name, name, key.public_key(), now, AUTHORITY_LIFETIME).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True
    )
    builder = builder.add_extension(_key_usage(signs_certificates=True), critical=True)
    return _pem(builder.sign(key, hashes.SHA256()), key)


def issue(authority: Certificate, name: str, usage: Usage, now: datetime) -> Certificate:
    """A leaf for the identity ``name``, which stands as DNS name in the subject alternative names."""
    key = ec.generate_private_key(ec.SECP256R1())
    return _pem(_sign(authority, key.public_key(), name, usage, now, LEAF_LIFETIME), key)


def request(name: str) -> Certificate:
    """A new key, and in the place of its certificate the request (PKCS #10) to have it signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateSigningRequestBuilder().subject_name(_subject(name))
    text = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
    return Certificate(text, _private_pem(key))


def sign(authority: Certificate, asked: str, name: str, usage: Usage, now: datetime, life: timedelta) -> str:
    """A leaf (PEM) for the key of a request. Who asks does not choose the name. Raises RequestError."""
    try:
        found = x509.load_pem_x509_csr(asked.encode())
        key = found.public_key()
        genuine = found.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise RequestError("is not a PKCS #10 request in PEM") from None
    if not genuine:
        raise RequestError("is not signed with its own key")
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise RequestError("has a key of another kind than EC P-256")
    certificate = _sign(authority, key, name, usage, now, life)
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _sign(
    authority: Certificate,
    key: ec.EllipticCurvePublicKey,
    name: str,
    usage: Usage,
    now: datetime,
    life: timedelta,
) -> x509.Certificate:
    ca = x509.load_pem_x509_certificate(authority.certificate.encode())
    ca_key = serialization.load_pem_private_key(authority.private_key.encode(), password=None)
    if not isinstance(ca_key, ec.EllipticCurvePrivateKey):
        raise ValueError("the CA's key is not an EC key; delete the CA Secret to have a new one made")
    builder = (
        _builder(_subject(name), ca.subject, key, now, life)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usage.value), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
    )
    return builder.sign(ca_key, hashes.SHA256())


def fingerprint(certificate: str) -> str:
    """What a certificate (PEM) is recognised by: ``sha256:`` and the hash of its public key. Raises ValueError."""
    key = x509.load_pem_x509_certificate(certificate.encode()).public_key()
    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return f"sha256:{hashlib.sha256(spki).hexdigest()}"


def names_of(certificate: bytes | None) -> tuple[str, ...]:
    """The DNS names in a certificate (DER) whose chain was verified; none where it has none."""
    try:
        leaf = x509.load_der_x509_certificate(certificate or b"")
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound):
        return ()
    return tuple(names.get_values_for_type(x509.DNSName))


def renewal_of(certificate: str) -> datetime:
    """When a host should renew its certificate (PEM). Raises ValueError."""
    leaf = x509.load_pem_x509_certificate(certificate.encode())
    issued = leaf.not_valid_before_utc + CLOCK_SKEW
    return issued + (leaf.not_valid_after_utc - issued) * RENEWAL_SHARE


def is_current(certificate: str, authority: str, name: str, now: datetime) -> bool:
    """Whether a leaf still serves: signed by ``authority``, for ``name``, with a third of its life or more left."""
    try:
        leaf = x509.load_pem_x509_certificate(certificate.encode())
        leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.encode()))
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(
            x509.DNSName
        )
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    life = leaf.not_valid_after_utc - leaf.not_valid_before_utc
    return name in names and leaf.not_valid_after_utc - now > life / 3


def expiry_of(certificate: str) -> datetime:
    """Until when a certificate (PEM) is valid. Raises ValueError."""
    return x509.load_pem_x509_certificate(certificate.encode()).not_valid_after_utc


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    now: datetime,
    life: timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now.astimezone(UTC) - CLOCK_SKEW)
        .not_valid_after(now.astimezone(UTC) + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _subject(name: str) -> x509.Name:
    # A common name is limited to 64 characters and is not what is verified.
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _pem(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Certificate:
    return Certificate(certificate.public_bytes(serialization.Encoding.PEM).decode(), _private_pem(key))


def _private_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
