"""The gateway as its callers see it: requests with a tenant's token."""

from __future__ import annotations

from typing import Any

import httpx

from tools.lab import Lab, sh
from tools.lab.gateway import Gateway

API = "/api/v1/wireguard"


class Provider:
    """A lab with a gateway: ``one`` and ``other`` are the HTTP clients of two tenants' billing systems."""

    def __init__(self, lab: Lab, process: Gateway, tenant: str, other_tenant: str) -> None:
        self.lab, self.process = lab, process
        self.tenant, self.other_tenant = tenant, other_tenant
        self.token, self.other_token = process.token(tenant), process.token(other_tenant)
        self.one, self.other = self.client(self.token), self.client(self.other_token)

    def client(self, token: str | None = None, **headers: str) -> httpx.Client:
        """A client of the REST API; without a token an anonymous one."""
        given = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(base_url=self.process.url + API, headers=given | headers, timeout=30, trust_env=False)

    def device(self) -> str:
        """The public keys on the first host's device."""
        host = self.lab.host
        return sh("ip", "netns", "exec", host.netns, "wg", "show", host.interface, "peers")

    def close(self) -> None:
        """Close the connections of both."""
        self.one.close()
        self.other.close()

    def log(self) -> str:
        """What the gateway has said so far, audit records among it."""
        return self.process.daemon.log.read_text()


def ok(answer: httpx.Response, status: int = 200) -> Any:
    """The answer's JSON; the status must be this."""
    assert answer.status_code == status, (
        f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text}"
    )
    return answer.json() if answer.content else None
