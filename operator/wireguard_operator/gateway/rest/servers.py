"""/servers."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from ...api.base import Key
from ...kube.client import Object
from ...kube.errors import AlreadyExists, Conflict, Invalid, NotFound
from ...kube.resources import PEERS, SERVERS
from ..audit import LAST_CHANGED_BY
from ..auth.authorize import authorize
from ..auth.caller import Caller
from ..cache.identity import new_id
from ..cache.records import ServerRecord
from ..context import Context
from ..errors import Refusal
from .answers import respond
from .answers_of_actions import ServerList, refusals
from .lookup import find_server, require
from .pages import Paged
from .sentences import in_words_of_the_contract
from .server_answers import ServerAnswer, server_answer
from .server_requests import ServerCreate, ServerStatus, ServerUpdate
from .statuses import server_status

TRIES = 5
"""Of a change that depends on what stands there."""
Lister = Annotated[Caller, Depends(authorize("list", "wireguardservers"))]
Reader = Annotated[Caller, Depends(authorize("get", "wireguardservers"))]
Creator = Annotated[Caller, Depends(authorize("create", "wireguardservers"))]
Changer = Annotated[Caller, Depends(authorize("patch", "wireguardservers"))]
Deleter = Annotated[Caller, Depends(authorize("delete", "wireguardservers"))]


def router(context: Context) -> APIRouter:
    """Servers of a tenant."""
    routes = APIRouter(prefix="/servers", tags=["servers"])
    shelf = context.cache.servers

    @routes.get("", response_model=ServerList | list[ServerAnswer], responses=refusals(), summary="List servers")
    async def list_servers(
        caller: Lister,
        page: Paged,
        status: Annotated[ServerStatus | None, Query(description="Only of this status.")] = None,
        location: Annotated[str | None, Query(description="Only at this location.")] = None,
        is_active: Annotated[bool | None, Query(description="Only those that are, or are not.")] = None,
    ) -> Response:
        """Servers of the tenant, the oldest first."""

        def is_wanted(server: ServerRecord) -> bool:
            found = server_status(server)
            return (
                (status is None or found is status)
                and (is_active is None or (found is ServerStatus.ACTIVE) == is_active)
                and (location is None or server_answer(server)["location"] == location)
            )

        return page.answer("servers", list(filter(is_wanted, shelf.of(caller.namespace))), server_answer)

    @routes.post(
        "",
        status_code=201,
        response_model=ServerAnswer,
        responses=refusals(409, ok={202: {"model": ServerAnswer, "description": "Made; its key is not there yet."}}),
        summary="Create a server",
    )
    async def create_server(caller: Creator, request: ServerCreate) -> Response:
        """Make a WireGuardServer. The operator makes its key, and the pods that serve it."""
        body = request.body(caller.namespace, new_id(), caller.username)
        name = body["metadata"]["name"]
        try:
            made = shelf.put(await context.client.create(SERVERS, caller.namespace, body))
        except AlreadyExists:
            raise Refusal(409, f"name: there is a server {name} already; choose another name") from None
        except Invalid as error:
            raise Refusal(422, in_words_of_the_contract(str(error))) from None
        _record(context, caller, "create", name)
        found = await shelf.until(made.key, lambda now: now is None or bool(now.public_key), _wait(context))
        return respond(server_answer(found or made), 201 if found is not None and found.public_key else 202)

    @routes.get("/{server_id}", response_model=ServerAnswer, responses=refusals(404), summary="Get a server")
    async def get_server(caller: Reader, server_id: UUID) -> Response:
        """One server."""
        return respond(server_answer(find_server(context, caller, server_id)))

    @routes.patch("/{server_id}", response_model=ServerAnswer, responses=refusals(404, 409), summary="Change a server")
    async def update_server(caller: Changer, server_id: UUID, request: ServerUpdate) -> Response:
        """Change what is given; all else stays."""
        server = find_server(context, caller, server_id)
        patch = request.patch(server.key.name, caller.username)
        return respond(server_answer(await change(context, caller, server, patch)))

    @routes.delete(
        "/{server_id}",
        status_code=204,
        response_class=Response,
        responses=refusals(404, 409),
        summary="Delete a server",
    )
    async def delete_server(
        caller: Deleter,
        server_id: UUID,
        force: Annotated[bool, Query(description="Delete the tenant's peers on it, too.")] = False,
    ) -> Response:
        """Delete a server. One that has peers is refused unless told to delete them, too."""
        server = find_server(context, caller, server_id)
        peers = context.cache.peers.having(caller.namespace, "server", str(server.key))
        if peers and not force:
            raise Refusal(
                409, f"the server has {len(peers)} peers: move or delete them first, or add ?force=true to delete them"
            )
        if peers:
            await require(context, caller, "delete", "wireguardpeers")
        for peer in peers:
            await delete_object(context, caller, "wireguardpeers", peer.key, peer.uid)
        await delete_object(context, caller, "wireguardservers", server.key, server.uid)
        return Response(status_code=204)

    @routes.post(
        "/{server_id}/regenerate-keys",
        response_model=ServerAnswer,
        responses=refusals(404, 409, ok={202: {"model": ServerAnswer, "description": "The new key is not there yet."}}),
        summary="Replace a server's key",
    )
    async def regenerate_keys(caller: Changer, server_id: UUID) -> Response:
        """Have a new key made. Every client of the server must import its configuration again."""
        server = find_server(context, caller, server_id)
        wanted = server.keys_of + 1
        if server.key_generation < wanted:
            annotations = {LAST_CHANGED_BY: caller.username}
            patch = {"metadata": {"annotations": annotations}, "spec": {"keyGeneration": wanted}}
            server = await change(context, caller, server, patch)
        found = await shelf.until(server.key, lambda now: now is None or now.keys_of >= wanted, _wait(context))
        return respond(server_answer(found or server), 200 if found is not None and found.keys_of >= wanted else 202)

    return routes


async def change(context: Context, caller: Caller, server: ServerRecord, patch: Object) -> ServerRecord:
    """A merge patch of this very server."""
    body = patch | {"metadata": {**patch.get("metadata", {}), "uid": server.uid}}
    try:
        answer = await context.client.merge_patch(SERVERS, server.key.namespace, server.key.name, body)
    except (NotFound, Conflict):
        raise Refusal(404, f"there is no server {server.id}") from None
    except Invalid as error:
        raise Refusal(422, in_words_of_the_contract(str(error))) from None
    _record(context, caller, "patch", server.key.name)
    return context.cache.servers.put(answer)


async def delete_object(context: Context, caller: Caller, plural: str, key: Key, uid: str) -> None:
    """Delete this very object; one that is gone is gone."""
    kind, shelf = (PEERS, context.cache.peers) if plural == "wireguardpeers" else (SERVERS, context.cache.servers)
    try:
        await context.client.delete(kind, key.namespace, key.name, uid=uid)
    except (NotFound, Conflict):
        return
    shelf.remove(key, uid)
    context.audit.record(user=caller.username, tenant=caller.namespace, verb="delete", resource=plural, name=key.name)


def _wait(context: Context) -> float:
    return context.settings.create_wait


def _record(context: Context, caller: Caller, verb: str, name: str) -> None:
    context.audit.record(
        user=caller.username, tenant=caller.namespace, verb=verb, resource="wireguardservers", name=name
    )
