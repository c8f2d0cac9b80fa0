"""What the chart's roles allow, to the controller and to people, and what they do not."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from release import Release

from tools.controlplane import ControlPlane
from tools.lab import wait_for

Ask = tuple[str, str, str]
"""Verb; group/resource/subresource, with a name after =; namespace, empty: of all namespaces, or of the cluster."""


def answers(plane: ControlPlane, user: str, asks: list[Ask], groups: list[str]) -> list[bool]:
    """What ``kubectl auth can-i`` says, all in one request to kubectl."""
    items = []
    for verb, what, where in asks:
        path, _, name = what.partition("=")
        group, resource, subresource = (*path.split("/"), "")[:3]
        attributes = {"verb": verb, "group": group, "resource": resource, "subresource": subresource}
        attributes |= {"namespace": where, "name": name}
        spec = {"user": user, "groups": ["system:authenticated", *groups], "resourceAttributes": attributes}
        items.append({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec})
    body = {"apiVersion": "v1", "kind": "List", "items": items}
    form = 'jsonpath={.status.allowed}{"\\n"}'
    said = plane.kubectl("create", "-f", "-", "-o", form, stdin=json.dumps(body)).split()
    assert len(said) == len(asks)
    return [word == "true" for word in said]


def expand(rows: str, where: str) -> list[Ask]:
    """Lines of "group/resource: verbs" as questions about a namespace."""
    found = []
    for row in rows.strip().splitlines():
        what, verbs = row.strip().rsplit(":", 1)
        found += [(verb, what, where) for verb in verbs.split()]
    return found


WG = "wireguard.dotmac.io"
SERVED = f"""
{WG}/wireguardservers: get list watch patch
{WG}/wireguardservers/status: patch
{WG}/wireguardpeers: get list watch
{WG}/wireguardpeers/status: patch
{WG}/wireguardaddressblocks: get list create update
/secrets: get list watch create update delete
events.k8s.io/events: create get patch
apps/deployments: get list watch create patch
/services: get list watch create patch
/pods: get list watch patch
policy/poddisruptionbudgets: get list watch create patch
networking.k8s.io/networkpolicies: get list watch create patch
"""
OWN = """
coordination.k8s.io/leases=wireguard-operator: get update
coordination.k8s.io/leases: create
/secrets=wireguard-operator-ca: get
/secrets: create
"""
NEVER = f"""
{WG}/wireguardservers: create update delete deletecollection
{WG}/wireguardservers/status: update
{WG}/wireguardpeers: create update patch delete deletecollection
{WG}/wireguardaddressblocks: delete deletecollection patch
/secrets: patch deletecollection
/pods: create delete update
/pods/exec: create get
/pods/ephemeralcontainers: patch update
/pods/log: get
/pods/eviction: create
/serviceaccounts: get list create update patch impersonate
/serviceaccounts/token: create
/configmaps: get list create update
/nodes: get list watch
/nodes/proxy: get create
/persistentvolumes: get list create
/users: impersonate
/groups: impersonate
/namespaces: create update patch delete
/events: create
apps/deployments: update deletecollection
apps/deployments/scale: patch update
apps/daemonsets: get list create patch
apps/statefulsets: get list create patch
batch/jobs: get list create
rbac.authorization.k8s.io/roles: get list create update patch bind escalate
rbac.authorization.k8s.io/rolebindings: get list create update patch
rbac.authorization.k8s.io/clusterroles: get list create update patch bind escalate
rbac.authorization.k8s.io/clusterrolebindings: get list create update patch
certificates.k8s.io/certificatesigningrequests: create
certificates.k8s.io/signers: approve sign
admissionregistration.k8s.io/validatingwebhookconfigurations: get create patch
apiextensions.k8s.io/customresourcedefinitions: get list create update patch delete
coordination.k8s.io/leases=another: get update patch delete
coordination.k8s.io/leases: list watch
"""


@pytest.fixture
def matrix(plane: ControlPlane) -> Callable[[Release, list[Ask]], dict[Ask, bool]]:
    """What the controller of a release may do."""

    def ask(one: Release, asks: list[Ask]) -> dict[Ask, bool]:
        groups = ["system:serviceaccounts", f"system:serviceaccounts:{one.namespace}"]
        return dict(zip(asks, answers(plane, one.user, asks, groups), strict=True))

    return ask


def test_in_all_namespaces_the_controller_may_do_what_it_needs_and_no_more(
    release: Callable[..., Release], namespace: Callable[..., str], matrix: Callable[..., dict[Any, bool]]
) -> None:
    one, other = release("cluster"), namespace()
    one.install("--set", "crds.install=false")
    needed = [
        *expand(SERVED, other),
        *expand(SERVED, ""),
        *expand(OWN, one.namespace),
        *expand("/namespaces: get list watch", ""),
    ]
    assert [ask for ask, allowed in matrix(one, needed).items() if not allowed] == []
    refused = [ask for where in (other, one.namespace, "") for ask in expand(NEVER, where)]
    refused += expand("coordination.k8s.io/leases=wireguard-operator: get update create", other)
    assert [ask for ask, allowed in matrix(one, refused).items() if allowed] == []


def test_with_namespaces_named_the_controller_has_no_rights_in_others_nor_in_the_cluster(
    release: Callable[..., Release], namespace: Callable[..., str], matrix: Callable[..., dict[Any, bool]]
) -> None:
    one, first, second, other = release("tenants"), namespace(), namespace(), namespace()
    one.install("--set", f"crds.install=false,watchNamespaces={{{first},{second}}}")
    needed = [ask for where in (first, second) for ask in expand(SERVED, where)]
    needed += [("get", f"/namespaces={where}", where) for where in (first, second)]
    needed += expand(OWN, one.namespace)
    assert [ask for ask, allowed in matrix(one, needed).items() if not allowed] == []
    refused = [ask for where in (first, second, other, one.namespace, "") for ask in expand(NEVER, where)]
    refused += [*expand(SERVED, other), *expand(SERVED, "")]
    own = expand(OWN, one.namespace)
    refused += [ask for ask in expand(SERVED, one.namespace) if ask not in own]
    refused += expand("/secrets=wireguard-operator-ca: update delete", one.namespace)
    refused += expand("/secrets=another: get", one.namespace)
    refused += [("get", f"/namespaces={other}", other), *expand("/namespaces: list watch", "")]
    refused += expand("/namespaces: list watch", first)
    refused += expand("coordination.k8s.io/leases=wireguard-operator: get update create", first)
    assert [ask for ask, allowed in matrix(one, refused).items() if allowed] == []


def test_people_with_view_read_and_people_with_edit_change_servers_and_peers_but_nobody_addresses(
    plane: ControlPlane, release: Callable[..., Release], namespace: Callable[..., str]
) -> None:
    release("people").install("--set", "crds.install=false")
    where = namespace()
    for role in ("view", "edit", "admin"):
        plane.kubectl("create", "rolebinding", role, f"--clusterrole={role}", f"--user={role}", "-n", where)
    servers, peers, blocks = (f"{WG}/wireguard{kind}" for kind in ("servers", "peers", "addressblocks"))
    read = [ask for kind in (servers, peers, blocks) for ask in expand(f"{kind}: get list watch", where)]
    change = [ask for kind in (servers, peers) for ask in expand(f"{kind}: create update patch delete", where)]
    never = expand(f"{blocks}: create update patch delete\n{peers}/status: update patch", where)

    def may(user: str, asks: list[Ask]) -> set[bool]:
        return set(answers(plane, user, asks, []))

    wait_for("kube-controller-manager to aggregate", lambda: may("admin", [*read, *change]) == {True})
    for user in ("view", "edit", "admin"):
        assert may(user, read) == {True}
        assert may(user, change) == {user != "view"}
        assert may(user, never) == {False}
    assert may("view", expand("/secrets: get list", where)) == {False}


GATEWAY_TENANT = f"""
{WG}/wireguardservers: get list watch create patch delete
{WG}/wireguardpeers: get list watch create patch delete
/secrets: get
events.k8s.io/events: list
"""
GATEWAY_TICKETS = """
/secrets: get list create delete
/serviceaccounts/token=wg-portal: create
"""
GATEWAY_CLUSTER = """
authentication.k8s.io/tokenreviews: create
authorization.k8s.io/subjectaccessreviews: create
"""
GATEWAY_NEVER = f"""
{WG}/wireguardservers: deletecollection
{WG}/wireguardservers/status: patch update
{WG}/wireguardpeers/status: patch update
{WG}/wireguardaddressblocks: get list create update delete
/secrets: update patch watch deletecollection
/serviceaccounts/token=default: create
/serviceaccounts: get list create update patch impersonate
/users: impersonate
/groups: impersonate
/pods: get list create
/pods/exec: create get
/configmaps: get list create update
/namespaces: get list create delete
apps/deployments: get list create patch
rbac.authorization.k8s.io/rolebindings: get create
"""


def test_the_gateway_may_change_its_tenants_and_reads_no_secret_elsewhere(
    plane: ControlPlane, release: Callable[..., Release], namespace: Callable[..., str]
) -> None:
    one, tenant, other, tickets = release("gate"), namespace(), namespace(), namespace()
    chosen = f"crds.install=false,gateway.enabled=true,gateway.tenants={{{tenant}}},gateway.replicas=0"
    tickets_are = f"gateway.tickets.namespace={tickets},gateway.tickets.createNamespace=false"
    one.install("--set", chosen, "--set", tickets_are)
    user = f"system:serviceaccount:{one.namespace}:{one.account}-gateway"

    def allowed(asks: list[Ask]) -> list[Ask]:
        return [ask for ask, yes in zip(asks, answers(plane, user, asks, []), strict=True) if yes]

    needed = [*expand(GATEWAY_TENANT, tenant), *expand(GATEWAY_TICKETS, tickets), *expand(GATEWAY_CLUSTER, "")]
    assert allowed(needed) == needed
    refused = [ask for where in (tenant, other, tickets, one.namespace, "") for ask in expand(GATEWAY_NEVER, where)]
    refused += [ask for where in (other, one.namespace, "") for ask in expand(GATEWAY_TENANT, where)]
    refused += [*expand(GATEWAY_TICKETS, one.namespace), ("list", "/secrets", tenant), ("create", "/secrets", tenant)]
    assert allowed(refused) == []


def test_callers_may_do_what_their_roles_say(
    plane: ControlPlane, release: Callable[..., Release], namespace: Callable[..., str]
) -> None:
    one, tenant = release("gate"), namespace()
    one.install("--set", "crds.install=false,gateway.enabled=true,gateway.replicas=0")
    asks = [
        ("create", f"{WG}/wireguardpeers", tenant),
        ("get", f"{WG}/wireguardpeers/config", tenant),
        ("list", f"{WG}/wireguardpeers", tenant),
        ("create", f"{WG}/wireguardpeers/suspend", tenant),
        ("create", f"{WG}/wireguardpeers/tickets", tenant),
        ("get", "/secrets", tenant),
    ]
    for role, wanted in (("client", [1, 1, 1, 1, 1, 0]), ("support", [0, 0, 1, 1, 1, 0])):
        binding = ("rolebinding", role, f"--clusterrole=wireguard-gateway-{role}", f"--user={role}")
        plane.kubectl("create", *binding, "-n", tenant)
        assert answers(plane, role, asks, []) == [bool(flag) for flag in wanted]
