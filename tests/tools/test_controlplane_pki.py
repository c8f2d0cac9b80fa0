"""Certificates that the API server accepts, in files that only their owner can read."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tools.controlplane.pki import Authority, KeyPair, service_account_keys


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.create(tmp_path / "pki")


def certificate_of(pair: KeyPair) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pair.certificate.read_bytes())


def values(certificate: x509.Certificate, kind: x509.ObjectIdentifier) -> list[str | bytes]:
    return [attribute.value for attribute in certificate.subject.get_attributes_for_oid(kind)]


def test_the_subject_of_a_client_says_user_and_groups(authority: Authority) -> None:
    client = certificate_of(authority.client("node", "system:node:one", ["system:nodes", "others"]))

    assert values(client, NameOID.COMMON_NAME) == ["system:node:one"]
    assert values(client, NameOID.ORGANIZATION_NAME) == ["system:nodes", "others"]


def test_certificates_are_signed_by_their_authority(authority: Authority) -> None:
    root = certificate_of(authority.files)

    certificate_of(authority.client("admin", "admin")).verify_directly_issued_by(root)
    certificate_of(authority.server("server", "server", ["localhost"])).verify_directly_issued_by(root)


def test_another_authority_does_not_vouch(authority: Authority, tmp_path: Path) -> None:
    other = certificate_of(Authority.create(tmp_path / "other").files)

    with pytest.raises(Exception, match=r".*"):
        certificate_of(authority.client("admin", "admin")).verify_directly_issued_by(other)


def test_an_authority_that_was_loaded_goes_on_issuing(authority: Authority) -> None:
    later = Authority.load(authority.directory)

    certificate_of(later.client("late", "late")).verify_directly_issued_by(certificate_of(authority.files))


def test_a_server_is_named_by_hosts_and_addresses(authority: Authority) -> None:
    server = certificate_of(authority.server("server", "server", ["127.0.0.1", "localhost"]))
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value

    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]


def test_a_client_cannot_pose_as_the_server(authority: Authority) -> None:
    client = certificate_of(authority.client("admin", "admin"))

    usage = client.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not client.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_certificates_hold_when_a_clock_is_a_little_behind(authority: Authority) -> None:
    client = certificate_of(authority.client("admin", "admin"))

    assert client.not_valid_before_utc < datetime.now(UTC) - timedelta(minutes=4)
    assert client.not_valid_after_utc > datetime.now(UTC) + timedelta(days=300)


def test_only_the_owner_can_read_the_files(authority: Authority) -> None:
    authority.client("admin", "admin")
    service_account_keys(authority.directory)

    modes = {path.name: path.stat().st_mode & 0o777 for path in authority.directory.iterdir()}
    assert set(modes) == {"ca.crt", "ca.key", "admin.crt", "admin.key", "sa.key", "sa.pub"}
    assert set(modes.values()) == {0o600}


def test_the_two_service_account_keys_belong_together(tmp_path: Path) -> None:
    private, public = service_account_keys(tmp_path)
    key = serialization.load_pem_private_key(private.read_bytes(), password=None)

    assert isinstance(key, rsa.RSAPrivateKey)
    assert key.public_key() == serialization.load_pem_public_key(public.read_bytes())
