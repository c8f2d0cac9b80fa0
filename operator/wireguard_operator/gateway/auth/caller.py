"""Who calls."""

from __future__ import annotations

from dataclasses import dataclass, field

_SERVICE_ACCOUNT = "system:serviceaccount:"


@dataclass(frozen=True, slots=True)
class Identity:
    """What a TokenReview says about a token."""

    username: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: dict[str, list[str]] = field(default_factory=dict, hash=False)
    """Further claims; authorizers may look at them, so they go into every access review."""

    @property
    def namespace(self) -> str:
        """The namespace of a ServiceAccount; empty for others."""
        if not self.username.startswith(_SERVICE_ACCOUNT):
            return ""
        return self.username.removeprefix(_SERVICE_ACCOUNT).partition(":")[0]


@dataclass(frozen=True, slots=True)
class Caller:
    """An identity that RBAC lets do what it asks, in a tenant."""

    identity: Identity
    namespace: str
    """The tenant."""

    @property
    def username(self) -> str:
        """As in RBAC and in the audit log of the API server."""
        return self.identity.username

    @property
    def uid(self) -> str:
        """Of the user, where the authenticator knows one."""
        return self.identity.uid

    @property
    def groups(self) -> tuple[str, ...]:
        """Groups of the user."""
        return self.identity.groups
