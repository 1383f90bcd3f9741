"""Metrics in Prometheus' words. They are read from what the services count anyway, when somebody asks."""

from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version

from prometheus_client import PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

Values = Iterable[tuple[tuple[str, ...], float]] | float  # one, or one for each of the labels' values

_BUILD = version("tandem")


def registry_of(collect: Callable[[], Iterable[Metric]]) -> CollectorRegistry:
    """A registry of its own: of the process, of Python, and what `collect` returns at each scrape."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    registry.register(_Scraped(collect))
    return registry


def counter(name: str, text: str, values: Values, labels: Sequence[str] = ()) -> Metric:
    """What only grows; `name` without its `_total`."""
    return _filled(CounterMetricFamily(name, text, labels=labels), values)


def gauge(name: str, text: str, values: Values, labels: Sequence[str] = ()) -> Metric:
    """What goes up and down."""
    return _filled(GaugeMetricFamily(name, text, labels=labels), values)


def build_info() -> Metric:
    """Which version it is."""
    return gauge("tandem_build_info", "Version of Tandem", [((_BUILD,), 1)], ["version"])


def _filled(family: CounterMetricFamily | GaugeMetricFamily, values: Values) -> Metric:
    for labels, value in [((), values)] if isinstance(values, float | int) else values:
        family.add_metric(labels, value)
    return family


class _Scraped(Collector):
    """Calls a function when it is scraped."""

    def __init__(self, collect: Callable[[], Iterable[Metric]]) -> None:
        self._collect = collect

    def collect(self) -> Iterable[Metric]:
        return self._collect()
