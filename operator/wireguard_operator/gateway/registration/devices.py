"""Devices that keep their private key: a token to register with, once, and the registration.

The provider asks for a token and hands it to the device or to who sets it up. The device makes a key pair and sends the
token with the public key; from then on that is the peer's key, and the answer has all that the device needs beside its
own private key. The token is a ticket of scope ``register``: it is used up before the key is written, so of two devices
that got hold of it one is registered, and the other one's user notices.
"""

from __future__ import annotations

import asyncio
import base64
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, ConfigDict, Field

from ...api.base import Time
from ...domain import secrets
from ...domain.config_file import read
from ...domain.keys import InvalidKeyError, decode_key
from ...domain.tickets import Scope, Ticket, lifetime
from ...kube.client import Object
from ...kube.errors import NotFound, Unavailable
from ...kube.resources import PEERS, SECRETS
from ..audit import LAST_CHANGED_BY
from ..auth.authorize import authorize, limited, public
from ..auth.caller import Caller
from ..cache.records import PeerRecord
from ..context import Context
from ..errors import Detail, Refusal
from ..portal.tickets import InvalidTicket
from ..rest.answers_of_actions import refusals
from ..rest.lookup import find_peer

OVER = "this token cannot be used: it was used, has expired, was withdrawn, or never was one"
RETRY_PAUSES = (0.0, 0.5, 1.0, 2.0)
"""Between the tries to write the key; the token is used up by then, so one failure must not be the end of it."""
EXAMPLE_KEY = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": Detail, "description": "The body is not text."},
    401: {"model": Detail, "description": "The token was used, has expired, was withdrawn, or never was one."},
    409: {"model": Detail, "description": "The peer's key comes from elsewhere."},
    422: {"model": Detail, "description": "The public key is none."},
    429: {"model": Detail, "description": "Too many requests."},
    503: {"model": Detail, "description": "The API server does not answer."},
}


class TokenRequest(BaseModel):
    """How long the token can be used."""

    expires_in_hours: int = Field(default=24, ge=1, le=168)


class ProvisionToken(BaseModel):
    """The token, told this once."""

    peer_id: UUID
    token: str
    expires_at: Time


class Registration(BaseModel):
    """What a device sends."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"token": "t-0123456789abcdef0123.eyJhbGciOi...", "public_key": EXAMPLE_KEY}]}
    )

    token: str = Field(min_length=1, max_length=5000)
    public_key: str = Field(min_length=1, max_length=64, description="As `wg pubkey` prints it.")


class Registered(BaseModel):
    """What the device needs beside its own private key."""

    peer_id: UUID
    peer_name: str
    public_key: str
    message: str
    addresses: list[str] = []
    server_public_key: str | None = None
    endpoint: str | None = None
    allowed_ips: list[str] = []
    dns: list[str] = []
    config_file: str | None = Field(
        default=None, description="wg0.conf with a comment in the place of the private key; absent with status 202."
    )


class Devices:
    """Issues tokens and takes registrations."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def issue(self, peer: PeerRecord, hours: int, caller: Caller) -> ProvisionToken:
        """A token for the peer. Raises KubeError."""
        life = lifetime(Scope.REGISTER, hours * 3600)
        issued = await self._context.tickets.issue(Scope.REGISTER, peer.key, peer.uid, caller.username, life)
        self._context.audit.record(
            user=caller.username,
            tenant=caller.namespace,
            verb="create",
            resource="wireguardpeers/tickets",
            name=peer.key.name,
            ticket=issued.ticket.name,
            scope=Scope.REGISTER.value,
        )
        # The name goes with it, since that is how the ticket is found before anything is known about the token.
        token = f"{issued.ticket.name}.{issued.token.reveal()}"
        return ProvisionToken(peer_id=UUID(peer.id), token=token, expires_at=issued.expires_at)

    async def register(self, token: str, public_key: str) -> tuple[Registered, bool]:
        """What the device needs, and whether it is all there. Raises Refusal and KubeError."""
        _valid(public_key)
        name, _, signed = token.partition(".")
        tickets = self._context.tickets
        try:
            ticket = await tickets.check(name, signed, Scope.REGISTER)
            peer = await self._context.client.get(PEERS, ticket.peer.namespace, ticket.peer.name)
            _fits(peer, ticket)
            await tickets.use_up(ticket)
        except (InvalidTicket, NotFound):
            raise Refusal(401, OVER, {"WWW-Authenticate": "Ticket"}) from None
        body = await self._write(ticket, public_key)
        self._context.audit.record(
            user=f"ticket:{ticket.name}",
            tenant=ticket.peer.namespace,
            verb="patch",
            resource="wireguardpeers",
            name=ticket.peer.name,
            public_key=public_key,
            issued_by=ticket.issued_by,
        )
        return await self._answer(self._context.cache.peers.put(body), public_key)

    async def _write(self, ticket: Ticket, public_key: str) -> Object:
        """Make it the peer's key. Doing so twice is doing it once."""
        metadata = {"uid": ticket.peer_uid, "annotations": {LAST_CHANGED_BY: f"ticket:{ticket.name}"}}
        patch = {"metadata": metadata, "spec": {"publicKey": public_key}}
        for pause in RETRY_PAUSES:
            await asyncio.sleep(pause)
            try:
                return await self._context.client.merge_patch(PEERS, ticket.peer.namespace, ticket.peer.name, patch)
            except Unavailable as error:
                last = error
        raise Refusal(503, "the API server is away and the token is used up; ask for another one") from last

    async def _answer(self, written: PeerRecord, public_key: str) -> tuple[Registered, bool]:
        """Wait a while for the controller to put the key into the configuration."""
        context = self._context

        def done(record: PeerRecord | None) -> bool:
            return record is None or (
                record.observed >= written.generation and record.keys_ready and record.public_key == public_key
            )

        await context.cache.peers.until(written.key, done, context.settings.create_wait)
        text = await self._config(written)
        answer = Registered(
            peer_id=UUID(written.id), peer_name=written.title, public_key=public_key, message="the device is registered"
        )
        if text is None or f"# PrivateKey = the one whose public key is {public_key}\n" not in text:
            answer.message += "; its configuration is not there yet, ask the provider for it"
            return answer, False
        config = read(text)
        host = f"[{config.endpoint_host}]" if ":" in config.endpoint_host else config.endpoint_host
        return answer.model_copy(
            update={
                "addresses": [str(address) for address in config.addresses],
                "server_public_key": config.server_public_key,
                "endpoint": f"{host}:{config.endpoint_port}",
                "allowed_ips": [str(network) for network in config.allowed_ips],
                "dns": list(config.dns),
                "config_file": text,
            }
        ), True

    async def _config(self, peer: PeerRecord) -> str | None:
        """The peer's wg0.conf; None when there is none, or it is that of an earlier peer of the name."""
        try:
            secret = await self._context.client.get(
                SECRETS, peer.key.namespace, secrets.peer_secret_name(peer.key.name)
            )
        except NotFound:
            return None
        owners = secret["metadata"].get("ownerReferences") or ()
        return secrets.read(secret, secrets.CONFIG) if any(owner.get("uid") == peer.uid for owner in owners) else None


def _valid(public_key: str) -> None:
    """As strict as the kind itself, which would refuse the key after the token was used up. Raises Refusal."""
    try:
        canonical = base64.b64encode(decode_key(public_key)).decode()
    except InvalidKeyError as error:
        raise Refusal(422, f"public_key: {error}") from None
    if canonical != public_key:
        raise Refusal(422, "public_key: not as `wg pubkey` prints it: 44 characters, the last but one with unused bits")


def _fits(peer: Object, ticket: Ticket) -> None:
    """Look at all that could be wrong before the ticket is used up. Raises Refusal and InvalidTicket."""
    if peer["metadata"]["uid"] != ticket.peer_uid or peer["metadata"].get("deletionTimestamp"):
        raise InvalidTicket
    if "privateKeySecretRef" in peer["spec"]:
        raise Refusal(409, "the peer's key is imported by spec.privateKeySecretRef, so no device can register its own")


def router(context: Context) -> APIRouter:
    """Below the peer: the token."""
    routes = APIRouter(tags=["devices"])
    devices = Devices(context)

    @routes.post(
        "/peers/{peer_id}/provision-token",
        status_code=201,
        responses=refusals(404),
        summary="Let a device register its own key",
    )
    async def provision_token(
        caller: Annotated[Caller, Depends(authorize("create", "wireguardpeers", "tickets"))],
        peer_id: UUID,
        wanted: TokenRequest | None = None,
    ) -> ProvisionToken:
        hours = (wanted or TokenRequest()).expires_in_hours
        return await devices.issue(await find_peer(context, caller, peer_id), hours, caller)

    return routes


def public_router(context: Context) -> APIRouter:
    """The registration, which has no caller."""
    routes = APIRouter(tags=["devices"])
    devices = Devices(context)

    @routes.post(
        "/register",
        dependencies=[Depends(limited)],
        responses=REFUSALS | {202: {"model": Registered, "description": "Registered; no configuration yet."}},
        summary="Register a device's public key",
    )
    @public("the token in the body is what lets in, once")
    async def register(sent: Registration, response: Response) -> Registered:
        answer, complete = await devices.register(sent.token, sent.public_key.strip())
        response.status_code = 200 if complete else 202
        return answer

    return routes
