"""What Prometheus reads, by its own client's parsers."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as plain

from clouddeploy.monitoring import exposition, families, gpus, processes
from clouddeploy.monitoring.families import HISTOGRAM, KEPT, SHOWN
from clouddeploy.monitoring.gathering import Counted, Gatherer, Snapshot
from clouddeploy.monitoring.recording import Recorder

PARSERS = {exposition.PLAIN: plain, exposition.OPEN: open_metrics}


def full(label: str = "x") -> Snapshot:
    """Every metric with one series."""
    found = Snapshot()
    for family in SHOWN:
        labels = tuple(label for _ in family.labels)
        if family.kind == HISTOGRAM:
            found.add_histogram(family, labels, Counted([1.0] * (len(family.bounds) + 1), 7.5))
        else:
            found.add_number(family, labels, 3.0)
    return found


@pytest.mark.parametrize("kind", PARSERS)
def test_every_metric_is_parsed_as_what_it_is(kind: str) -> None:
    text = exposition.text(full(), kind=kind).decode()
    parsed = {family.name: family for family in PARSERS[kind](text)}
    assert {family.name for family in SHOWN} == set(parsed)
    for family in SHOWN:
        assert parsed[family.name].type == family.kind
        assert parsed[family.name].documentation == family.text
        for sample in parsed[family.name].samples:
            assert set(sample.labels) - {"le"} == set(family.labels)


@pytest.mark.parametrize("kind", PARSERS)
def test_buckets_add_up_to_their_count(kind: str) -> None:
    parsed = {family.name: family for family in PARSERS[kind](exposition.text(full(), kind=kind).decode())}
    samples = parsed[families.REQUEST_SECONDS.name].samples
    counts = [sample.value for sample in samples if sample.name.endswith("_bucket")]
    assert counts == sorted(counts)
    assert counts[-1] == len(families.REQUEST_SECONDS.bounds) + 1
    assert [s.value for s in samples if s.name.endswith("_sum")] == [7.5]
    assert [s.value for s in samples if s.name.endswith("_count")] == [counts[-1]]


@settings(max_examples=50)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_any_label_comes_through(label: str) -> None:
    for kind, parse in PARSERS.items():
        sample = next(s for f in parse(exposition.text(full(label), kind=kind).decode()) for s in f.samples)
        assert set(sample.labels.values()) == {label}


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", exposition.PLAIN),
        ("*/*", exposition.PLAIN),
        ("text/plain;version=0.0.4;q=0.5,application/openmetrics-text;version=1.0.0;q=0.75", exposition.OPEN),
        ("application/openmetrics-text;q=0.1, text/plain", exposition.PLAIN),
        ("application/openmetrics-text;q=0", exposition.PLAIN),
        ("application/openmetrics-text;q=x,text/plain", exposition.PLAIN),
    ],
)
def test_the_form_is_what_accept_prefers(accept: str, kind: str) -> None:
    assert exposition.media_type(accept) == kind


def test_a_worker_tells_what_it_uses(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, 2)
    snapshot = Gatherer(tmp_path).snapshot()
    processes.add(snapshot)
    assert set(snapshot.of(families.RSS)) == {("2",)}
    assert snapshot.number(families.RSS) > 1e6
    assert snapshot.number(families.CPU) > 0
    assert 0 < snapshot.number(families.FILES) < snapshot.number(families.MOST_FILES)
    recorder.close()


def test_without_proc_nothing_is_told(tmp_path: Path) -> None:
    assert processes.use_of(1, tmp_path) is None
    assert processes.machine(tmp_path) is None


class Nvml:
    """Two GPUs as nvidia-ml-py shows them; the second tells neither power nor heat."""

    NVML_TEMPERATURE_GPU = 0

    class NVMLError(Exception):
        """As the library's."""

    class Figures:
        gpu, used, total = 40, 2e9, 8e9

    def nvmlDeviceGetCount(self) -> int:
        return 2

    def nvmlDeviceGetHandleByIndex(self, number: int) -> int:
        return number

    def nvmlDeviceGetName(self, device: int) -> str | bytes:
        return "A10G" if device else b"L4"

    def nvmlDeviceGetUtilizationRates(self, device: int) -> type:
        return self.Figures

    def nvmlDeviceGetMemoryInfo(self, device: int) -> type:
        return self.Figures

    def nvmlDeviceGetTemperature(self, device: int, kind: int) -> int:
        return self._unless_second(device, 61)

    def nvmlDeviceGetPowerUsage(self, device: int) -> int:
        return self._unless_second(device, 70_500)

    def _unless_second(self, device: int, value: int) -> int:
        if device:
            raise self.NVMLError("Not Supported")
        return value


def test_gpus_are_told_as_far_as_they_tell() -> None:
    snapshot = Snapshot()
    gpus.add(snapshot, Nvml())
    assert snapshot.of(families.GPU_USED) == {("0", "L4"): 0.4, ("1", "A10G"): 0.4}
    assert snapshot.of(families.GPU_POWER) == {("0", "L4"): 70.5}
    gpus.add(snapshot, None)


def test_what_is_kept_is_shown_or_made_into_what_is_shown() -> None:
    assert {family.name for family in KEPT} - {family.name for family in SHOWN} == {families.ANSWERED.name}
