"""From what is counted to Prometheus' text format, by its own client library."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)

from fargate_driver.metrics.families import ALIVE, ALIVE_HELP, FAMILIES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import Metric

    from fargate_driver.metrics.state import State


def render(state: State) -> bytes:
    """The content of the textfile.

    Args:
        state: what is counted.
    """
    registry = CollectorRegistry()
    registry.register(_Collector(state))
    return generate_latest(registry)


class _Collector:
    def __init__(self, state: State) -> None:
        self._state = state

    def collect(self) -> Iterator[Metric]:
        for name, family in FAMILIES.items():
            if family.buckets:
                yield self._histogram(name)
            else:
                metric = CounterMetricFamily(name, family.help, labels=family.labels)
                for (of, labels), n in sorted(self._state.counters.items()):
                    if of == name:
                        metric.add_metric(labels, n)
                if not family.labels and not metric.samples:
                    metric.add_metric((), 0)
                yield metric
        yield GaugeMetricFamily(ALIVE, ALIVE_HELP, sum(self._state.alive.values()))

    def _histogram(self, name: str) -> Metric:
        family = FAMILIES[name]
        metric = HistogramMetricFamily(name, family.help, labels=family.labels)
        bounds = (*(f"{bound:g}" for bound in family.buckets), "+Inf")
        for (of, labels), (counts, total) in sorted(self._state.histograms.items()):
            if of == name:
                sums = itertools.accumulate(counts)
                metric.add_metric(labels, list(zip(bounds, sums, strict=True)), total)
        return metric
