"""A page of ``/metrics``, read as Prometheus reads it."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

Labels = frozenset[tuple[str, str]]


class Page:
    """The samples of a page by name and labels. Reading fails where the page is not as its format says."""

    def __init__(self, text: str) -> None:
        is_open = text.endswith("# EOF\n")
        parse = openmetrics.text_string_to_metric_families if is_open else text_string_to_metric_families
        self.families = {family.name: family for family in parse(text)}
        self.samples: dict[tuple[str, Labels], float] = {}
        for family in self.families.values():
            for sample in family.samples:
                place = sample.name, frozenset(sample.labels.items())
                assert place not in self.samples, f"{place} is there twice"
                self.samples[place] = sample.value

    def value(self, name: str, labels: Mapping[str, str] | None = None) -> float | None:
        """The value of a series; None where there is none."""
        return self.samples.get((name, frozenset((labels or {}).items())))

    def of(self, name: str) -> dict[Labels, float]:
        """All series of a name."""
        return {labels: value for (other, labels), value in self.samples.items() if other == name}

    def labels(self, name: str) -> set[frozenset[str]]:
        """The label names that series of a name have."""
        return {frozenset(label for label, _ in labels) for labels in self.of(name)}
