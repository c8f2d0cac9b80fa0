"""Users of an identity provider, whom the API server itself is set up to know, at the gateway."""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from gateway_client import API

from tools.controlplane import ControlPlane
from tools.controlplane.pki import Authority
from tools.lab import REPOSITORY
from tools.lab.gateway import Gateway, free_port

CLIENT = "wireguard-staff"


def encoded(data: bytes | dict[str, Any]) -> str:
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


class Provider:
    """An OpenID provider of a few lines: discovery, keys, and tokens (RFC 7519, RS256)."""

    def __init__(self, folder: Path) -> None:
        self.issuer = f"https://127.0.0.1:{free_port()}"
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.authority = Authority.create(folder)
        pair = self.authority.server("issuer", "issuer", ["127.0.0.1"])
        numbers = self._key.public_key().public_numbers()
        key = {"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "1"}
        key |= {"n": encoded(numbers.n.to_bytes(256, "big")), "e": encoded(numbers.e.to_bytes(3, "big"))}
        pages = {
            "/.well-known/openid-configuration": {
                "issuer": self.issuer,
                "jwks_uri": f"{self.issuer}/keys",
                "response_types_supported": ["id_token"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
            },
            "/keys": {"keys": [key]},
        }

        class Pages(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = json.dumps(pages.get(self.path, {})).encode()
                self.send_response(200 if self.path in pages else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", int(self.issuer.rpartition(":")[2])), Pages)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.certificate, pair.key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()

    def configuration(self) -> str:
        """How the API server is told of it."""
        jwt = {
            "issuer": {
                "url": self.issuer,
                "audiences": [CLIENT],
                "certificateAuthority": self.authority.files.certificate.read_text(),
            },
            "claimMappings": {"username": {"claim": "sub", "prefix": "oidc:"}},
        }
        return json.dumps(
            {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration", "jwt": [jwt]}
        )

    def token(self, **claims: Any) -> str:
        """A signed token."""
        now = int(time.time())
        body = {"iss": self.issuer, "aud": CLIENT, "sub": "jane", "iat": now, "exp": now + 600} | claims
        signed = f"{encoded({'alg': 'RS256', 'kid': '1', 'typ': 'JWT'})}.{encoded(body)}"
        return f"{signed}.{encoded(self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Provider, Gateway]]:
    """A provider that the API server knows, and a gateway that was told its issuer."""
    folder = tmp_path_factory.mktemp("oidc")
    with ExitStack() as stack:
        provider = Provider(folder / "issuer")
        stack.callback(provider.close)
        config = folder / "authentication.yaml"
        config.write_text(provider.configuration())
        plane = ControlPlane(folder / "plane", apiserver_flags=[f"--authentication-config={config}"])
        stack.enter_context(plane)
        plane.kubectl("apply", "--server-side", "-f", str(REPOSITORY / "crds"))
        plane.wait_for_definitions()
        plane.kubectl("create", "namespace", "isp")
        process = Gateway(plane, folder, ["isp"], "--oidc-issuer", provider.issuer)
        stack.callback(process.daemon.end)
        process.start()
        plane.kubectl("create", "role", "jane", "-n", "isp", "--verb=list", "--resource=wireguardpeers")
        plane.kubectl("create", "rolebinding", "jane", "-n", "isp", "--role=jane", "--user=oidc:jane")
        yield provider, process


def get(process: Gateway, token: str, tenant: str = "isp", path: str = "peers") -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}", "X-Tenant-ID": tenant}
    return httpx.get(f"{process.url}{API}/{path}", headers=headers, timeout=30, trust_env=False)


def test_a_user_of_the_provider_does_what_rbac_lets_them(world: tuple[Provider, Gateway]) -> None:
    provider, process = world
    answer = get(process, provider.token())
    assert (answer.status_code, answer.json().get("total")) == (200, 0)
    refused = get(process, provider.token(), path="servers")
    assert refused.json() == {"detail": "oidc:jane may not list wireguardservers in tenant isp"}
    assert get(process, provider.token(sub="joe")).status_code == 403
    assert get(process, provider.token(), tenant="default").status_code == 403


def test_a_token_that_the_api_server_does_not_accept_is_none(world: tuple[Provider, Gateway]) -> None:
    provider, process = world
    good = provider.token()
    for token in (provider.token(exp=1), provider.token(aud="another"), good[:-8] + "AAAAAAAA"):
        assert get(process, token).status_code == 401


def test_the_issuer_opens_no_way_for_the_api_servers_own_tokens(world: tuple[Provider, Gateway]) -> None:
    """A token without the gateway's audience is refused, whatever issuer it claims."""
    provider, process = world
    process.token("isp")
    own = process.plane.kubectl("create", "token", "billing", "-n", "isp").strip()
    assert get(process, own).status_code == 401
    head, _, signature = own.split(".")
    forged = f"{head}.{encoded({'iss': provider.issuer, 'sub': 'system:serviceaccount:isp:billing'})}.{signature}"
    assert get(process, forged).status_code == 401
    assert get(process, process.token("isp")).status_code == 200
