"""What the dashboard shows: the fleet, servers, peers, and the controller itself.

Several replicas may tell of a server around a change of leader, so gauges are taken as ``max by`` their own labels.
"""

from __future__ import annotations

from .grafana import Panel

SERVER = 'namespace=~"$namespace",server=~"$server"'
PEER = 'server_namespace=~"$namespace",server=~"$server"'
OPERATOR = "wireguard_operator"
TOTAL, ONLINE = ',state="total"', ',state="online"'
RED_IF_ZERO = (("red", None), ("green", 1.0))
RED_IF_ANY = (("green", None), ("red", 1.0))
FULL = (("green", None), ("orange", 0.8), ("red", 0.9))


def _rate(counter: str, by: str = "") -> str:
    return f"sum{f' by ({by})' if by else ''} (rate({counter}[$__rate_interval]))"


def _quantile(share: float, histogram: str, by: str = "le") -> str:
    return f"histogram_quantile({share}, {_rate(f'{OPERATOR}_{histogram}_bucket', by)})"


def _gauge(name: str, more: str = "") -> str:
    return f"max by (namespace, server) (wireguard_server_{name}{{{SERVER}{more}}})"


def _number(title: str, query: str, about: str = "", steps: tuple[tuple[str, float | None], ...] = ()) -> Panel:
    return Panel(title, "short", ((query, ""),), 4, "stat", about, steps)


def _servers(title: str, unit: str, query: str, width: int = 8, about: str = "") -> Panel:
    return Panel(title, unit, ((query, "{{namespace}}/{{server}}"),), width, about=about)


def _peers(title: str, counter: str) -> Panel:
    rate = _rate(f"wireguard_peer_{counter}{{{PEER}}}", "namespace, peer")
    return Panel(title, "Bps", ((f"topk(10, {rate})", "{{namespace}}/{{peer}}"),), 12, about="Needs metrics.peers.")


def _requests(title: str, unit: str, query: str, legend: str, about: str = "") -> Panel:
    return Panel(title, unit, ((query, legend),), about=about)


FLEET = (
    _number("Servers ready", "sum(max by (namespace, server) (wireguard_server_ready))"),
    _number("Servers not ready", "sum(1 - max by (namespace, server) (wireguard_server_ready))", steps=RED_IF_ANY),
    _number("Peers", "sum(max by (phase) (wireguard_peers))"),
    _number("Peers online", 'sum(max by (namespace, server) (wireguard_server_peers{state="online"}))'),
    _number(
        "Peers failed",
        'max(wireguard_peers{phase="Failed"})',
        "Somebody has to act: kubectl get wgp -A --field-selector status.phase=Failed",
        RED_IF_ANY,
    ),
    _number("A controller works", "max(wireguard_operator_leader)", steps=RED_IF_ZERO),
    Panel("Peers by phase", "short", (("max by (phase) (wireguard_peers)", "{{phase}}"),), 12),
    Panel(
        "Traffic",
        "Bps",
        (
            (_rate("wireguard_server_receive_bytes_total"), "from subscribers"),
            (_rate("wireguard_server_transmit_bytes_total"), "to subscribers"),
        ),
        12,
    ),
)

POOL = f"{_gauge('peers', TOTAL)} / {_gauge('capacity_peers')}"
SERVERS = (
    _servers("Peers online", "short", _gauge("peers", ONLINE)),
    Panel(
        "Pool in use",
        "percentunit",
        ((POOL, "{{namespace}}/{{server}}"),),
        kind="bargauge",
        steps=FULL,
    ),
    _servers("Agent connected", "short", _gauge("agent_connected"), about="1 while it answers and does as it is told"),
    _servers(
        "From subscribers", "Bps", _rate(f"wireguard_server_receive_bytes_total{{{SERVER}}}", "namespace, server")
    ),
    _servers("To subscribers", "Bps", _rate(f"wireguard_server_transmit_bytes_total{{{SERVER}}}", "namespace, server")),
    _servers("Age of the counters", "s", f"time() - {_gauge('counters_read_timestamp_seconds')}"),
    _servers(
        "Revisions not acknowledged", "short", f"{_gauge('desired_revision')} - {_gauge('acknowledged_revision')}", 12
    ),
    Panel(
        "Versions",
        "short",
        (
            (
                f"count by (type, implementation, version) (wireguard_server_info{{{SERVER}}})",
                "{{type}} {{implementation}} {{version}}",
            ),
        ),
        12,
        "bargauge",
    ),
)

PEERS = (
    _peers("Most sent to subscribers", "transmit_bytes_total"),
    _peers("Most received from subscribers", "receive_bytes_total"),
    Panel(
        "Online by tenant",
        "short",
        ((f"sum by (namespace) (max by (namespace, peer) (wireguard_peer_online{{{PEER}}}))", "{{namespace}}"),),
        12,
    ),
    Panel(
        "Peers whose last handshake was in the last",
        "short",
        tuple(
            (
                "count(time() - max by (namespace, peer)"
                f" (wireguard_peer_last_handshake_timestamp_seconds{{{PEER}}}) < {seconds})",
                legend,
            )
            for legend, seconds in (("3 minutes", 180), ("hour", 3600), ("day", 86400), ("30 days", 2592000))
        ),
        12,
    ),
)

CONTROLLER = (
    Panel(
        "From a watch's word to the agent's acknowledgement",
        "s",
        tuple(
            (_quantile(share, "programming_duration_seconds", "le, kind"), f"{{{{kind}}}} p{share:.0%}")
            for share in (0.5, 0.99)
        ),
    ),
    _requests("Queues", "short", f"max by (queue) ({OPERATOR}_queue_depth)", "{{queue}}"),
    Panel(
        "Turns of work on a server",
        "s",
        tuple((_quantile(share, "turn_duration_seconds"), f"p{share:.0%}") for share in (0.5, 0.99)),
    ),
    _requests(
        "Requests to the API server",
        "reqps",
        _rate(f"{OPERATOR}_api_requests_total", "verb, resource"),
        "{{verb}} {{resource}}",
    ),
    _requests(
        "Requests that failed",
        "reqps",
        _rate(f'{OPERATOR}_api_requests_total{{code=~"4..|5..|error"}}', "verb, resource, code"),
        "{{verb}} {{resource}} {{code}}",
        "404 and 409 are part of the work.",
    ),
    _requests(
        "Time of requests to the API server, p99",
        "s",
        _quantile(0.99, "api_request_duration_seconds", "le, verb"),
        "{{verb}}",
    ),
    _requests(
        "Requests to agents",
        "reqps",
        _rate(f"{OPERATOR}_agent_requests_total", "operation, outcome"),
        "{{operation}} {{outcome}}",
    ),
    _requests(
        "Time of requests to agents, p99",
        "s",
        _quantile(0.99, "agent_request_duration_seconds", "le, operation"),
        "{{operation}}",
    ),
    _requests("Bytes to and from agents", "Bps", _rate(f"{OPERATOR}_agent_bytes_total", "operation"), "{{operation}}"),
    _requests(
        "Writes of statuses",
        "reqps",
        _rate(f"{OPERATOR}_status_writes_total", "kind, outcome"),
        "{{kind}} {{outcome}}",
    ),
    Panel(
        "What watches and Events lost",
        "short",
        (
            (f"sum by (resource) (increase({OPERATOR}_sweep_ghosts_total[$__rate_interval]))", "unseen {{resource}}"),
            (f"sum(increase({OPERATOR}_events_dropped_total[$__rate_interval]))", "Events dropped"),
            (f"max({OPERATOR}_watch_stalled)", "watch stalled"),
        ),
    ),
    _requests("Time of a sweep, p99", "s", _quantile(0.99, "sweep_duration_seconds"), "sweep"),
    Panel(
        "CPU",
        "percentunit",
        (
            (
                "rate(process_cpu_seconds_total[$__rate_interval])"
                f" * on (instance) group_left () {OPERATOR}_build_info",
                "{{instance}}",
            ),
        ),
        12,
    ),
    Panel(
        "Memory",
        "bytes",
        ((f"process_resident_memory_bytes * on (instance) group_left () {OPERATOR}_build_info", "{{instance}}"),),
        12,
    ),
)

ROWS = (("Fleet", FLEET), ("Servers", SERVERS), ("Peers", PEERS), ("Controller", CONTROLLER))
