"""``docs/reference.md``, generated: what people look up about the kinds, on one page that cannot lag behind the models.

Fields, bounds and sentences come from the CRDs, conditions and reasons from their tables. Only what no model says
is written here: what a phase means, how other tools read the objects, and what is in the Secrets.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .base import GROUP, VERSION, Kind
from .block import BLOCK
from .conditions import MEANINGS
from .crd import KINDS, definition
from .reasons import EXPLANATIONS

PHASES: dict[str, dict[str, str]] = {
    "WireGuardServer": {
        "Active": "the device is as it should be",
        "Inactive": "`spec.enabled` is false, or the agent has not answered yet",
        "Degraded": "the agent answered before, and now something is in the way; the reason of `Ready` says what",
        "Maintenance": "`spec.maintenance` is on; the peers that are there are served",
    },
    "WireGuardPeer": {
        "Pending": "not yet on the device, or not yet confirmed to be off it; the reason of `Ready` says why",
        "Active": "on the device, with a handshake in the last 180 seconds",
        "Inactive": "on the device, without a handshake in the last 180 seconds",
        "Disabled": "off the device: `spec.enabled` is false",
        "Suspended": "at least one of `spec.suspensions` is in force: off the device, or restricted",
        "Expired": "off the device: `spec.expiresAt` has passed",
        "Failed": "not on the device until somebody acts; the reason of `Ready` says what about",
    },
}

SECRETS: tuple[tuple[str, str, str], ...] = (
    ("<server>-wireguard-server", "privateKey", "the server's private key"),
    ("<server>-wireguard-server", "publicKey", "its public key"),
    ("<server>-wireguard-server", "keyGeneration", "the `spec.keyGeneration` that it was made for, if that was raised"),
    ("<server>-agent-tls", "tls.crt, tls.key, ca.crt", "the agent's side of the link, which `host-bundle` hands over"),
    ("<peer>-wireguard", "wg0.conf", "the configuration to import on the subscriber's device"),
    ("<peer>-wireguard", "privateKey", "the peer's private key, unless the device keeps it"),
    ("<peer>-wireguard", "publicKey", "its public key"),
    ("<peer>-wireguard", "presharedKey", "the preshared key, if there is one"),
    ("<peer>-wireguard", "keySource", "where the keys are from, if not generated: `device`, or `secret:<name>/<key>`"),
    ("<peer>-wireguard", "keyGeneration", "the `spec.keyGeneration` that the keys were made for, if that was raised"),
    ("<peer>-wireguard", "previousPublicKey", "during a rotation: the former public key, which goes on working"),
    ("<peer>-wireguard", "previousPresharedKey", "and the preshared key that goes with it, if there is one"),
    ("<peer>-wireguard", "previousKeyUntil", "and until when at the latest"),
    ("<peer>-wireguard", "actorId", "on Firezone 1.x, instead of all that: the service account"),
    ("<peer>-wireguard", "clientToken", "and its token, with which Firezone's own client signs in"),
)

_HEAD = f"""\
<!-- Generated from operator/wireguard_operator/api by `make generate`. Do not edit. -->
# Reference

The kinds of `{GROUP}/{VERSION}`: {", ".join(f"[{kind.kind}](#{kind.kind.lower()})" for kind in KINDS)}.
For all of them: [phases](#phases), [conditions](#conditions), [reasons](#reasons), [events](#events),
[how tools read the objects](#how-tools-read-the-objects), [Secrets](#secrets).

In paths, `[]` stands for each entry of a list and `.*` for each value of a map. A field that is *required* must be
there if the object around it is. In a terminal, `kubectl explain` tells the same, e.g. `kubectl explain wgp.spec`."""

_CONDITIONS = """\
`Reconciling` and `Stalled` are there only while they are True. The reason of `Ready` is that of the first step that has
not succeeded; for a peer that is disabled, suspended or expired, to be off the device or restricted is the success."""

_REASONS = """\
While an object is not Ready, a reason that is marked *Stalled* says that somebody has to act. With any other one the
operator is still working, or waits for something that usually comes by itself."""

_EVENTS = """\
Few, since each is a write: a Warning when an object becomes `Stalled`, a server loses its agent or waits for peers
before it is deleted; one each when a peer is disabled, suspended or expires; and these:"""

_TOOLS = f"""\
The conditions are made for [kstatus](https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/README.md):

| the object | kstatus says | meaning |
| --- | --- | --- |
| `status.observedGeneration` is not `metadata.generation` | InProgress | the status is about an earlier specification |
| `Reconciling` is True | InProgress | the operator works on it |
| `Ready` is True | Current | all is as the specification says |
| `Stalled` is True | Failed | somebody has to act |
| `metadata.deletionTimestamp` is set | Terminating | it is being deleted |

A new object gets `status.observedGeneration: -1` from the API server, so it does not pass for finished before the
operator has looked at it. **Flux** uses kstatus: `wait: true` or `healthChecks` of a Kustomization is enough.
**kubectl** heeds the generation, too:

```sh
kubectl wait --for=condition=Ready wgp/alice               # all is as specified, even if that is to be off
kubectl wait --for=condition=Programmed=true wgp/alice     # on the device
kubectl wait --for=condition=Programmed=false wgp/alice    # confirmed to be off the device
```

**Argo CD** has to be told how to read kinds that it does not know: put this into its ConfigMap `argocd-cm`, once as it
is and once for `WireGuardServer`.

```yaml
data:
  resource.customizations.health.{GROUP}_WireGuardPeer: |
    hs = {{status = "Progressing", message = "waiting for the operator"}}
    if obj.status ~= nil and obj.status.observedGeneration == obj.metadata.generation then
      for _, c in ipairs(obj.status.conditions or {{}}) do
        if c.status == "True" and c.type == "Ready" then hs = {{status = "Healthy", message = c.message}} end
        if c.status == "True" and c.type == "Stalled" then hs = {{status = "Degraded", message = c.message}} end
      end
    end
    return hs
```"""

_OWNERS = """\
They are in the namespace of the object that they are for, are deleted with it, and have the label
`app.kubernetes.io/managed-by=wireguard-operator`. A Secret that somebody else made is never overwritten
(`SecretConflict`). `spec.dataPlane.host.tlsSecretRef` may name another one than `<server>-agent-tls`. The authority
that the agents trust is `wireguard-operator-ca` in the operator's namespace."""

_WORDS = {
    "metadata.name": "Short, since Secrets and certificates are named after objects.",
    "conditions[].type": "See [conditions](#conditions).",
    "conditions[].status": "Unknown: this step has not been reached yet.",
    "conditions[].reason": "Why, as one word for programs; see [reasons](#reasons).",
    "conditions[].message": "Why, as a sentence for people.",
    "conditions[].observedGeneration": "Generation of the spec that the condition speaks of.",
    "conditions[].lastTransitionTime": "When `status` last changed.",
}
"""For fields of which the models say nothing, by the end of the path."""


@dataclass(frozen=True, slots=True)
class _Node:
    """A field, the entries of a list (path ends with ``[]``) or the values of a map (``.*``)."""

    path: str
    schema: Mapping[str, Any]
    required: bool = False


def reference() -> str:
    """The whole page."""
    parts = [_HEAD]
    for kind in KINDS:
        parts += _kind(kind)
    phases = [(kind, f"`{phase}`", text) for kind, words in PHASES.items() for phase, text in words.items()]
    parts += ["## Phases", "One word for people; programs read the conditions.", _table("kind|phase|meaning", phases)]
    meanings = [(f"`{kind}`", meaning) for kind, meaning in MEANINGS.items()]
    parts += ["## Conditions", _CONDITIONS, _table("type|True means", meanings)]
    reasons, events = [], []
    for reason, why in EXPLANATIONS.items():
        if why.meaning.startswith("event: "):
            events.append((f"`{reason}`", why.meaning.removeprefix("event: ")))
        else:
            reasons.append((f"`{reason}`", "Stalled" if why.lasting else "", why.meaning, why.remedy))
    parts += ["## Reasons", _REASONS, _table("reason|stalled|meaning|what to do", reasons)]
    parts += ["## Events", _EVENTS, _table("reason|meaning", events)]
    secrets = [(f"`{name}`", f"`{key}`", value) for name, key, value in SECRETS]
    parts += ["## How tools read the objects", _TOOLS]
    parts += ["## Secrets", _OWNERS, _table("Secret|key|value", secrets)]
    return "\n\n".join(parts) + "\n"


def _kind(kind: Kind) -> list[str]:
    crd = definition(kind)["spec"]
    root = crd["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    spec = [node for name in ("metadata", "spec") for node in _nodes(root[name], name)]
    status = [(f"`{n.path}`", _type(n.schema), _description(n)) for n in _nodes(root["status"], "status") if _named(n)]
    columns = [
        (c.name, f"{c.description}: `{c.path[1:]}`".removeprefix(": "), "`-o wide`" if c.priority else "")
        for c in kind.columns
    ]
    short = ", ".join(f"`{name}`" for name in kind.short_names)
    together = "".join(f" With the other kinds: `kubectl get {category}`." for category in kind.categories)
    parts = [f"## {kind.kind}", kind.description, f"Short for `{kind.plural}`: {short}.{together}"]
    parts += [f"### {kind.kind}: columns", _table("column|shows|only with", columns)]
    if kind.selectable:
        selectable = ", ".join(f"`{path[1:]}`" for path in kind.selectable)
        parts += [f"`kubectl get {kind.short_names[0]} --field-selector FIELD=VALUE` takes {selectable}."]
    fields = [(f"`{n.path}`", _type(n.schema), _default(n), _description(n)) for n in spec if _named(n)]
    parts += [f"### {kind.kind}: spec", _table("field|type|default|description", fields)]
    if kind is not BLOCK:  # nobody writes blocks, so nobody has to know how a bad one is refused
        parts += ["What the API server says when it refuses:", _table("field|sentence", _sentences(spec))]
    return [*parts, f"### {kind.kind}: status", _table("field|type|description", status)] if status else parts


def _nodes(schema: Mapping[str, Any], path: str, required: bool = False) -> Iterator[_Node]:
    yield _Node(path, schema, required)
    needed = schema.get("required", ())
    for name, child in schema.get("properties", {}).items():
        yield from _nodes(child, f"{path}.{name}", name in needed)
    for keyword, mark in (("items", "[]"), ("additionalProperties", ".*")):
        if keyword in schema:
            yield from _nodes(schema[keyword], path + mark)


def _named(node: _Node) -> bool:
    return "." in node.path and not node.path.endswith(("[]", ".*"))


def _description(node: _Node) -> str:
    words = (text for end, text in _WORDS.items() if node.path.endswith(end))
    return " ".join(str(node.schema.get("description") or next(words, "")).split())


def _default(node: _Node) -> str:
    value = node.schema.get("default")
    if node.required or value is None or isinstance(value, dict):
        return "*required*" if node.required else ""
    return f"`{value if value and isinstance(value, str) else json.dumps(value)}`"


def _sentences(nodes: Iterable[_Node]) -> list[tuple[str, str]]:
    """Each sentence once, with all fields that it is about."""
    fields: dict[str, list[str]] = {}
    for node in nodes:
        for rule in node.schema.get("x-kubernetes-validations", ()):
            fields.setdefault(rule["message"], []).append(f"`{node.path}{rule.get('fieldPath', '')}`")
    return [(", ".join(paths), sentence) for sentence, paths in fields.items()]


def _type(schema: Mapping[str, Any], ending: str = "") -> str:
    """A type with its bounds in words: ``list of up to 8 strings of 1 to 253 characters, no duplicates``."""
    kind = str(schema.get("type", "amount"))  # without a type only where an integer will do for a text
    if "enum" in schema:
        return " or ".join(", ".join(f"`{value}`" for value in schema["enum"]).rsplit(", ", 1))
    if kind == "array":
        keys = [f"`{key}`" for key in schema.get("x-kubernetes-list-map-keys", ())]
        unique = ", no duplicates" if schema.get("x-kubernetes-list-type") == "set" else ""
        unique = f", one for each {' and '.join(keys)}" if keys else unique
        return f"list{ending} of {_span(schema, 'Items')}{_type(schema['items'], 's')}{unique}"
    if "additionalProperties" in schema:
        return f"map{ending} of {_span(schema, 'Properties')}{_type(schema['additionalProperties'], 's')}"
    if kind == "string":
        length = _span(schema, "Length")
        word = "time" if schema.get("format") == "date-time" else kind
        return f"{word}{ending} of {length}characters" if length else word + ending
    bounds = _span(schema, "imum").rstrip()
    return f"{kind}{ending}, {bounds}" if bounds else kind + ending


def _span(schema: Mapping[str, Any], what: str) -> str:
    low, high = schema.get(f"min{what}"), schema.get(f"max{what}")
    if low is None or high is None:
        return f"up to {high} " if high is not None else f"at least {low} " if low is not None else ""
    return f"{low} to {high} " if low != high else f"{low} "


def _table(heads: str, rows: Iterable[Iterable[str]]) -> str:
    head = heads.split("|")
    lines = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
