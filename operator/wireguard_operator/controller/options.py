"""The controller's options: from the command line, the environment, the defaults."""

from __future__ import annotations

import argparse
import os
from dataclasses import fields
from typing import Any

from .settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the controller; the environment's default for each is ``WIREGUARD_OPERATOR_<OPTION>``."""
    default = Settings()
    parser.add_argument("--kubeconfig", metavar="FILE", help="default: the pod's service account, else as kubectl does")
    parser.add_argument(
        "--namespace", metavar="NAME", help=f"where the operator keeps its own Secrets; default: {default.namespace}"
    )
    parser.add_argument(
        "--watch-namespace",
        dest="watch_namespaces",
        action="append",
        metavar="NAME",
        help="serve this namespace only; may be given more than once",
    )
    for name, text in (
        ("stats_interval", "between reads of an agent's counters"),
        ("traffic_interval", "least time between writes of one peer's byte counters"),
        ("sweep_interval", "between searches for deletions that a watch missed"),
        ("cool_down", "for which an address that was given back rests"),
        ("host_certificate_life", "for which the certificate of a host that enrolled is valid"),
    ):
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=_positive,
            metavar="SECONDS",
            help=f"{text}; default: {getattr(default, name):g}",
        )
    parser.add_argument(
        "--statistics-writes",
        type=_positive,
        metavar="RATE",
        help="statuses a second, at most, that are written for new byte counters alone;"
        f" default: {default.statistics_writes:g}",
    )
    parser.add_argument("--image", metavar="IMAGE", help=f"of servers' pods; default: {default.image}")
    parser.add_argument(
        "--leader-elect",
        action=argparse.BooleanOptionalAction,
        help="of several replicas, the one that has the Lease works; default: no",
    )
    parser.add_argument("--health-port", type=int, metavar="PORT", help="of /livez and /readyz; default: none")
    parser.add_argument("--metrics-port", type=int, metavar="PORT", help="of /metrics; default: none")
    parser.add_argument(
        "--dial-in",
        metavar="HOST:PORT",
        help="where agents on hosts enrol, renew their certificates and dial in, e.g. [::]:8444; default: nowhere",
    )
    parser.add_argument(
        "--peer-metrics",
        action=argparse.BooleanOptionalAction,
        help="four series for each peer in /metrics, too; default: yes",
    )
    parser.add_argument("--verbose", action="store_true", help="log what kopf does, too")


def settings_of(args: argparse.Namespace) -> Settings:
    """Settings from the command line, then the environment, then the defaults."""
    chosen = {}
    for field in fields(Settings):
        value = getattr(args, field.name, None)
        if value is None and (text := os.environ.get(f"WIREGUARD_OPERATOR_{field.name.upper()}")):
            value = text.split(",") if field.name == "watch_namespaces" else text
        if value is not None:
            chosen[field.name] = _convert(value, type(getattr(Settings(), field.name)))
    return Settings(**chosen)


def _convert(value: Any, kind: type) -> Any:
    if kind is bool:
        return value if isinstance(value, bool) else value.lower() in ("1", "true", "yes")
    return kind(value) if kind in (float, int, tuple) else value


def _positive(text: str) -> float:
    value = float(text)
    if value <= 0:
        raise argparse.ArgumentTypeError("must be more than 0")
    return value
