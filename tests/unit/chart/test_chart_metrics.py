"""Metrics in the chart: the way to the page, and alerts and dashboard that name only what is on it."""

import json
import re

import pytest
import yaml
from rendering import Object, objects

from tests.unit.controller.metrics.pages import Page
from tools import metrics
from tools.chart import CHART, METRICS, NAMESPACE
from wireguard_operator.controller.metrics.exposition import PATH, render
from wireguard_operator.controller.metrics.peers import FAMILIES, Peers
from wireguard_operator.controller.metrics.process import Metrics
from wireguard_operator.controller.supervisor import Supervisor
from wireguard_operator.controller.watch.cache import Cache

NAME = f"{NAMESPACE}/wireguard-operator"
ALL: Object = {
    "metrics": {
        "port": 9100,
        "serviceMonitor": {"enabled": True},
        "prometheusRule": {"enabled": True, "labels": {"release": "mon"}},
        "dashboard": {"enabled": True},
    }
}
RULES = [
    rule for group in yaml.safe_load((CHART / "files" / "rules.yaml").read_text())["groups"] for rule in group["rules"]
]
PANELS = json.loads((CHART / "files" / "dashboard.json").read_text())["panels"]
VARIABLES = json.loads((CHART / "files" / "dashboard.json").read_text())["templating"]["list"]
QUERIES = [target["expr"] for panel in PANELS for target in panel.get("targets", ())]

FAMILIES_BY_SERIES = {series: family for family in metrics.families() for series in family.series()}
OF_QUERIES = {"sum", "max", "min", "count", "by", "on", "and", "or", "group_left", "time", "rate", "increase", "absent"}
OF_QUERIES |= {"histogram_quantile", "topk", "label_values"}


def named(query: str) -> tuple[set[str], set[str]]:
    """Names of series and of labels in a query."""
    labels = set(re.findall(r"(\w+)\s*(?:=~|!=|=)\s*\"", query))
    for listed in re.findall(r"(?:by|on|group_left)\s*\(([^)]*)\)", query):
        labels |= {word.strip() for word in listed.split(",") if word.strip()}
    rest = re.sub(r"(?:by|on|group_left)\s*\([^)]*\)|\"[^\"]*\"|\[[^]]*\]|\{[^}]*\}", " ", query)
    rest = re.sub(r"label_values\(([^,]+),[^)]*\)", r"\1", rest)
    return set(re.findall(r"[a-z_]\w*", rest)) - OF_QUERIES, labels


def test_names_in_queries_are_found_by_this_test() -> None:
    query = 'sum by (le, kind) (rate(a_bucket{x=~"b",y="c"}[5m])) / on (z) time() > max(d) and e'
    assert named(query) == ({"a_bucket", "d", "e"}, {"le", "kind", "x", "y", "z"})


@pytest.mark.parametrize(
    "query", [*(rule["expr"] for rule in RULES), *QUERIES, *(v["query"]["query"] for v in VARIABLES[1:])]
)
def test_a_query_names_only_metrics_and_labels_that_there_are(query: str) -> None:
    series, labels = named(query)
    assert series and series <= FAMILIES_BY_SERIES.keys()
    of_target = {"instance", "le"}
    known = {label for name in series for label in FAMILIES_BY_SERIES[name].labels}
    assert labels <= known | of_target


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_is_wrong_and_what_to_do(rule: Object) -> None:
    notes = rule["annotations"]
    assert set(notes) == {"summary", "description", "runbook"}
    assert all(len(text) > 20 for text in notes.values())
    assert rule["labels"]["severity"] in ("warning", "critical")
    assert rule["for"]
    # A label that the expression has summed away would be empty in the text.
    used = {label for text in notes.values() for label in re.findall(r"\$labels\.(\w+)", text)}
    kept = re.search(r"by \(([^)]*)\)", rule["expr"])
    assert used <= set(re.findall(r"\w+", kept[1]) if kept else ())


def test_alerts_have_names_of_their_own() -> None:
    assert len({rule["alert"] for rule in RULES}) == len(RULES) > 10


@pytest.mark.parametrize("panel", [p for p in PANELS if p["type"] != "row"], ids=lambda panel: panel["title"])
def test_a_legend_shows_labels_that_its_query_keeps(panel: Object) -> None:
    for target in panel["targets"]:
        shown = set(re.findall(r"\{\{(\w+)\}\}", target.get("legendFormat", "")))
        assert shown <= named(target["expr"])[1]


def test_panels_neither_overlap_nor_leave_the_grid() -> None:
    places = set()
    for panel in PANELS:
        where = panel["gridPos"]
        mine = {
            (x, y)
            for x in range(where["x"], where["x"] + where["w"])
            for y in range(where["y"], where["y"] + where["h"])
        }
        assert where["x"] + where["w"] <= 24 and not mine & places, panel["title"]
        places |= mine
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)


def test_a_service_monitor_reaches_the_port_of_the_page() -> None:
    found = objects(ALL)
    endpoint = found["ServiceMonitor", NAME]["spec"]["endpoints"][0]
    assert (endpoint["path"], endpoint["honorLabels"]) == (PATH, True)
    port = found["Service", f"{NAME}-metrics"]["spec"]["ports"][0]
    assert port["name"] == endpoint["port"]
    container = found["Deployment", NAME]["spec"]["template"]["spec"]["containers"][0]
    env = {item["name"]: item.get("value") for item in container["env"]}
    by_name = {item["name"]: item["containerPort"] for item in container["ports"]}
    assert by_name[port["targetPort"]] == port["port"] == 9100 == int(env["WIREGUARD_OPERATOR_METRICS_PORT"])
    assert by_name["health"] != by_name["metrics"]


def test_the_network_policy_lets_in_whom_the_values_name_to_both_ports_and_nobody_else() -> None:
    who = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
    policy = objects({"networkPolicy": {"from": who}})["NetworkPolicy", NAME]["spec"]
    assert policy["ingress"] == [
        {"ports": [{"port": "health", "protocol": "TCP"}, {"port": "metrics", "protocol": "TCP"}], "from": who}
    ]


def test_the_rules_are_those_of_the_file() -> None:
    rule = objects(ALL)["PrometheusRule", NAME]
    assert rule["metadata"]["labels"]["release"] == "mon"
    assert [one for group in rule["spec"]["groups"] for one in group["rules"]] == RULES


def test_an_alert_on_old_counters_waits_longer_where_they_are_read_seldom() -> None:
    values = ALL | {"controller": {"statsInterval": 100.5}}
    rule = objects(values)["PrometheusRule", NAME]
    stale = {one["alert"]: one["expr"] for one in rule["spec"]["groups"][0]["rules"]}["WireGuardCountersStale"]
    assert "(wireguard_server_counters_read_timestamp_seconds) > 808 and" in stale


def test_the_dashboard_is_found_by_the_sidecar_of_grafana() -> None:
    found = objects(ALL)["ConfigMap", f"{NAME}-dashboard"]
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    (text,) = found["data"].values()
    assert json.loads(text)["panels"] == PANELS


def test_monitoring_is_off_by_default() -> None:
    kinds = {kind for kind, _ in objects()}
    assert not kinds & {"ServiceMonitor", "PrometheusRule", "ConfigMap", "Service"}


def test_the_page_in_docs_lists_all_metrics_that_there_are_with_their_types() -> None:
    own = Metrics()
    listed = {
        row[0].strip("` "): row[1].strip()
        for row in (line.split("|")[1:] for line in METRICS.read_text().splitlines() if line.startswith("| `"))
        if "_" in row[0]
    }
    own.registry.register(metrics.Fleet(Cache(Supervisor()), own))
    text = render(own, Peers(Cache(Supervisor())), "application/openmetrics-text")[1].decode()
    ends = {"counter": "_total", "info": "_info"}
    there = {family.name + ends.get(family.type, ""): family.type for family in Page(text).families.values()}
    there |= {family.name: family.kind for family in metrics.gateway_families()}
    assert listed == there
    assert {family.name for family in FAMILIES} <= {name.removesuffix("_total") for name in listed}
