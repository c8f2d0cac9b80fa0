"""Billing systems, each with its own way of signing what it sends."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any

import httpx
from gateway_client import API, Provider

SECRET = "a secret of twenty-five c"


def share_secret(provider: Provider, tenant: str | None = None, **data: str) -> None:
    """Give a tenant its Secret."""
    literals = [f"--from-literal={key}={value}" for key, value in ({"secret": SECRET} | data).items()]
    provider.lab.kubectl("create", "secret", "generic", "wireguard-billing", *literals, namespace=tenant)


def stamp(at: datetime | None = None) -> str:
    """A time as senders write it."""
    return (at or datetime.now(UTC)).isoformat()


def mac(message: bytes, secret: str = SECRET) -> str:
    """The signature."""
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()


def post(provider: Provider, sender: str, body: bytes, tenant: str | None = None, **headers: str) -> httpx.Response:
    """A webhook, as bytes."""
    url = f"{provider.process.url}{API}/webhooks/{tenant or provider.tenant}/{sender}"
    return httpx.post(
        url, content=body, headers={"Content-Type": "application/json"} | headers, timeout=30, trust_env=False
    )


def dunning(
    provider: Provider, customer: str, word: str, at: datetime | None = None, tenant: str | None = None
) -> httpx.Response:
    """What a dunning campaign sends: it signs one text and sends another."""
    event = {
        "event": "dunning.action",
        "event_type": "dunning_notification",
        "timestamp": stamp(at),
        "data": {"execution_id": f"x-{customer}", "customer_id": customer, "current_step": 2, "status": "in_progress"},
        "metadata": {"wireguard": word, "note": "Mahnung für Zoë"},
    }
    compact = json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()
    signature = {"X-Webhook-Signature": mac(json.dumps(event).encode())}
    return post(provider, "dunning", compact, tenant, **signature)


def platform(provider: Provider, kind: str, data: dict[str, Any], at: datetime | None = None) -> httpx.Response:
    """A generic webhook."""
    body = json.dumps({"id": f"evt-{stamp()}", "type": kind, "timestamp": stamp(at), "data": data}).encode()
    return post(provider, "platform", body, **{"X-Webhook-Signature": mac(body)})


def sub(provider: Provider, kind: str, at: datetime | None = None, **context: str) -> httpx.Response:
    """An event of dotmac_sub."""
    event = {
        "event_type": kind,
        "event_id": f"e-{stamp()}",
        "occurred_at": stamp(at),
        "payload": {},
        "context": context,
    }
    signed = json.dumps(event, sort_keys=True, separators=(",", ":")).encode()
    signature = {"X-Dotmac-Signature-256": f"sha256={mac(signed)}"}
    return post(provider, "sub", json.dumps(event).encode(), **signature)
