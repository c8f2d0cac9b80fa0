"""What a host says to the controller's port for agents: to enrol, to renew its certificate, and to be reached.

========  ======================  ========================================================================
GET       ``/v1/authority``       the operator's CA, PEM; the host checks it against its token
POST      ``/v1/enrolments``      ``Enrolment`` → ``Enrolled``, without a client certificate, once a token
POST      ``/v1/certificates``    ``Renewal`` → ``Renewed``, with the present certificate
GET       ``/v1/link``            with the present certificate: a WebSocket (RFC 6455) on which the controller
                                  asks and the agent answers, in ``frames``
========  ======================  ========================================================================

An error is ``{"message": …}`` with status 400 (not understood), 403 (refused for good) or 503 (try again).
"""

from __future__ import annotations

from dataclasses import dataclass, field

AUTHORITY_PATH = "/v1/authority"
ENROLMENT_PATH = "/v1/enrolments"
CERTIFICATE_PATH = "/v1/certificates"
LINK_PATH = "/v1/link"

MESSAGE_HEADER = "X-Wireguard-Operator-Message"
"""Has the message of an error, too: of a WebSocket that is refused a client reads no body."""
HEARTBEAT_SECONDS = 20.0
"""Between pings of a silent link; one without answer for half of that is given up, so that a dead one is noticed
within 30 s on both sides. NAT keeps TCP mappings for much longer (RFC 5382: two hours)."""


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A token's words, and the request for a certificate."""

    namespace: str
    server: str
    identifier: str
    secret: str = field(repr=False)
    request: str
    """PKCS #10, PEM."""


@dataclass(frozen=True, slots=True)
class Enrolled:
    """Who the host is from now on."""

    certificate: str
    """PEM."""
    listen: str
    """As in the bundle."""


@dataclass(frozen=True, slots=True)
class Renewal:
    """The request for the next certificate, for a new key."""

    request: str


@dataclass(frozen=True, slots=True)
class Renewed:
    """The next certificate."""

    certificate: str
