"""Who may use what: label selectors, and the namespaces that a server takes peers from.

The rules are those of Kubernetes' own selectors (``metav1.LabelSelectorAsSelector``): all requirements must hold,
an empty selector matches everything, and NotIn holds for an object without the label.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..api.selectors import From, LabelSelector, Location, Operator, Region, Requirement
from ..api.server import WireGuardServer


def matches(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """Whether an object with ``labels`` is selected."""
    return all(labels.get(key) == value for key, value in selector.match_labels.items()) and all(
        _holds(requirement, labels) for requirement in selector.match_expressions
    )


def is_at(location: Location | None, wanted: Region) -> bool:
    """Whether every part of ``wanted`` that is given is just so in ``location``."""
    have = location.to_wire() if location is not None else {}
    return all(have.get(part) == value for part, value in wanted.to_wire().items())


def admits(server: WireGuardServer, namespace: str, labels: Mapping[str, str]) -> bool:
    """Whether peers of ``namespace``, which has ``labels``, may use the server."""
    if namespace == server.metadata.namespace:
        return True
    allowed = server.spec.allowed_namespaces
    if allowed.origin is From.SELECTOR and allowed.selector is not None:
        return matches(allowed.selector, labels)
    return allowed.origin is From.ALL


def _holds(requirement: Requirement, labels: Mapping[str, str]) -> bool:
    there, value = requirement.key in labels, labels.get(requirement.key)
    match requirement.operator:
        case Operator.IN:
            return value in requirement.values
        case Operator.NOT_IN:
            return value not in requirement.values
        case Operator.EXISTS:
            return there
        case Operator.DOES_NOT_EXIST:
            return not there
