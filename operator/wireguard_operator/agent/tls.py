"""Who may talk to the agent: the controller, known by a certificate of the operator's own CA.

TLS checks the chain. That is not enough: every agent has a certificate of the same CA, and one host that is broken
into must not rule the others. So the name and the purpose in the certificate are checked as well.
"""

from __future__ import annotations

import os
import ssl

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from .bundle import Bundle
from .protocol import CONTROLLER_NAME


class BundleError(ValueError):
    """The bundle's certificates are not usable; the text holds no key."""


def server_context(bundle: Bundle) -> ssl.SSLContext:
    """TLS 1.2 or newer that demands a client certificate of the bundle's CA. Raises BundleError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        context.load_verify_locations(cadata=bundle.ca)
    except (ssl.SSLError, ValueError):
        raise BundleError("the bundle's CA is damaged") from None
    use(context, bundle)
    return context


def trusting(authority: str) -> ssl.SSLContext:
    """TLS 1.3 towards a controller of this CA. Raises BundleError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_verify_locations(cadata=authority)
    except (ssl.SSLError, ValueError):
        raise BundleError("the bundle's CA is damaged") from None
    return context


def client_context(bundle: Bundle) -> ssl.SSLContext:
    """``trusting`` the bundle's CA, with the bundle's certificate. Raises BundleError."""
    context = trusting(bundle.ca)
    use(context, bundle)
    return context


def use(context: ssl.SSLContext, bundle: Bundle) -> None:
    """Show the bundle's certificate on every connection from now on. Raises BundleError."""
    try:
        # OpenSSL reads keys from files only; this one is in memory and gone with the process.
        memory = os.memfd_create("agent-tls", os.MFD_CLOEXEC)
        try:
            with os.fdopen(memory, "w", closefd=False) as file:
                file.write(f"{bundle.certificate}\n{bundle.private_key}\n")
            context.load_cert_chain(f"/proc/self/fd/{memory}")
        finally:
            os.close(memory)
    except (ssl.SSLError, ValueError):
        raise BundleError("the bundle's certificate or key is damaged, or they do not belong together") from None


def is_controller(certificate: bytes | None) -> bool:
    """Whether a (verified) client certificate, DER, is the controller's: DNS name and purpose clientAuth."""
    if certificate is None:
        return False
    try:
        extensions = x509.load_der_x509_certificate(certificate).extensions
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        purposes = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (ValueError, x509.ExtensionNotFound):
        return False
    return CONTROLLER_NAME in names.get_values_for_type(x509.DNSName) and ExtendedKeyUsageOID.CLIENT_AUTH in purposes
