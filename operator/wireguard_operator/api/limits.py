"""How fast a tunnel may be.

Rates are quantities of bits a second, as in the annotations ``kubernetes.io/ingress-bandwidth`` of pods, since that is
how tariffs are written; buffers are quantities of bytes, as everywhere. The names say the direction as subscribers do.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from .base import Model
from .fields import rule, rules

Bandwidth = Annotated[
    str,
    BeforeValidator(str),
    Field(
        max_length=32,
        json_schema_extra=rules(
            rule(
                "isQuantity(string(self)) && quantity(string(self)).compareTo(quantity('8k')) >= 0"
                " && quantity(string(self)).compareTo(quantity('100G')) <= 0",
                "must be bits per second as a quantity from 8k to 100G, e.g. 50M or 1G",
            ),
            **{"x-kubernetes-int-or-string": True},
        ),
    ),
]
"""Bits per second."""

Burst = Annotated[
    str,
    BeforeValidator(str),
    Field(
        max_length=32,
        json_schema_extra=rules(
            rule(
                "isQuantity(string(self)) && quantity(string(self)).compareTo(quantity('64Ki')) >= 0"
                " && quantity(string(self)).compareTo(quantity('1Gi')) <= 0",
                "must be bytes as a quantity from 64Ki to 1Gi, e.g. 256Ki",
            ),
            **{"x-kubernetes-int-or-string": True},
        ),
    ),
]
"""Bytes. Less than 64 KiB would stop the packets that the kernel has put together from many small ones."""


class Limits(Model):
    """Rates of a tunnel, each of the whole subscriber in one direction, whatever addresses it has."""

    download: Bandwidth | None = None
    """Bits per second to the subscriber, e.g. 50M. Default no limit."""
    upload: Bandwidth | None = None
    """Bits per second from the subscriber, e.g. 10M. Default no limit."""
    burst: Burst | None = None
    """Bytes beyond one second's worth of a rate that may pass at once after a pause. Default 64Ki."""


class Throttle(Model):
    """The rate of suspended peers."""

    bandwidth: Bandwidth
    """Bits per second in each direction, e.g. 128k. Slower limits of a peer's own stay."""
