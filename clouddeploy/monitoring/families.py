"""What is measured: every metric's name, labels and meaning."""

from __future__ import annotations

from dataclasses import dataclass

from clouddeploy.monitoring.buckets import EXAMPLES, SECONDS, SHOWN_SECONDS

COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"


@dataclass(frozen=True, slots=True)
class Family:
    """One metric.

    Args:
        name: with its unit, without the ``_total`` of a counter.
        kind: `COUNTER`, `GAUGE` or `HISTOGRAM`.
        text: what it tells.
        labels: names of its labels.
        bounds: upper bounds of a histogram's buckets.
        shown: those of them that are written out.
    """

    name: str
    kind: str
    text: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    shown: tuple[float, ...] = ()

    @property
    def cells(self) -> int:
        """Numbers that one series takes: its buckets and its sum, or one."""
        return len(self.bounds) + 2 if self.kind == HISTOGRAM else 1


MODEL = ("model", "version")


def _times(name: str, text: str, labels: tuple[str, ...]) -> Family:
    return Family(f"clouddeploy_{name}_seconds", HISTOGRAM, text, labels, SECONDS, SHOWN_SECONDS)


ANSWERED = _times("answered", "", ("method", "route", "model", "version", "status"))
"""Kept, never shown: requests and their times by all labels, from which the next two are added up."""
REQUESTS = Family(
    "clouddeploy_requests", COUNTER, "Requests that were answered.", ("method", "route", *MODEL, "status")
)
REQUEST_SECONDS = _times(
    "request", "From a request's last byte to its answer being written.", ("route", *MODEL)
)
ERRORS = Family(
    "clouddeploy_errors", COUNTER, "Requests that were answered with an error.", ("route", *MODEL, "code")
)
GONE = Family("clouddeploy_clients_gone", COUNTER, "Clients that left before their answer.")
BATCH_EXAMPLES = Family(
    "clouddeploy_batch_examples",
    HISTOGRAM,
    "Examples that the model got in one call.",
    MODEL,
    EXAMPLES,
    EXAMPLES,
)
QUEUE_SECONDS = _times("queue", "From a request's last byte to the start of its batch.", MODEL)
MODEL_SECONDS = _times("model", "What one call of the model took.", MODEL)
LOAD_SECONDS = Family("clouddeploy_model_load_seconds", GAUGE, "What loading the version took.", MODEL)
LOADED = Family("clouddeploy_model_loaded", GAUGE, "Workers in which the version is loaded.", MODEL)
WEIGHT = Family(
    "clouddeploy_model_traffic_ratio", GAUGE, "Share of the model's requests it should get.", MODEL
)
IN_FLIGHT = Family("clouddeploy_requests_in_flight", GAUGE, "Requests that wait for their answer.")
QUEUED = Family("clouddeploy_queue_examples", GAUGE, "Examples that wait for the model.", MODEL)
QUEUE_LIMIT = Family(
    "clouddeploy_queue_limit_examples", GAUGE, "Examples that may wait for the model.", MODEL
)
CONNECTIONS = Family("clouddeploy_connections", GAUGE, "Connections that are open.")
LOG_DROPPED = Family(
    "clouddeploy_access_log_dropped_lines", COUNTER, "Lines that weren't written: their reader was too slow."
)
SERIES_DROPPED = Family(
    "clouddeploy_metric_series_dropped", COUNTER, "Series beyond the most that are kept; counted as 'other'."
)
KEPT = (
    *(ANSWERED, ERRORS, GONE, BATCH_EXAMPLES, QUEUE_SECONDS, MODEL_SECONDS, LOAD_SECONDS, LOADED, WEIGHT),
    *(IN_FLIGHT, QUEUED, QUEUE_LIMIT, CONNECTIONS, LOG_DROPPED, SERIES_DROPPED),
)
"""What a worker keeps in its file."""

WORKER = ("worker",)
UP = Family("clouddeploy_workers", GAUGE, "Workers that run.")
CPU = Family("clouddeploy_worker_cpu_seconds", COUNTER, "Processor time the worker has used.", WORKER)
RSS = Family("clouddeploy_worker_resident_memory_bytes", GAUGE, "Memory of the worker in RAM.", WORKER)
FILES = Family("clouddeploy_worker_open_fds", GAUGE, "Files and sockets the worker has open.", WORKER)
MOST_FILES = Family("clouddeploy_worker_max_fds", GAUGE, "Files and sockets the worker may open.", WORKER)
STARTED = Family(
    "clouddeploy_worker_start_time_seconds", GAUGE, "When the worker started, since 1970.", WORKER
)
GPU = ("gpu", "name")
GPU_USED = Family("clouddeploy_gpu_utilization_ratio", GAUGE, "Share of time the GPU computed.", GPU)
GPU_MEMORY = Family("clouddeploy_gpu_memory_used_bytes", GAUGE, "Memory of the GPU in use.", GPU)
GPU_MEMORY_ALL = Family("clouddeploy_gpu_memory_total_bytes", GAUGE, "Memory of the GPU.", GPU)
GPU_HEAT = Family("clouddeploy_gpu_temperature_celsius", GAUGE, "Temperature of the GPU.", GPU)
GPU_POWER = Family("clouddeploy_gpu_power_watts", GAUGE, "Power the GPU draws.", GPU)

SHOWN = (
    *(REQUESTS, REQUEST_SECONDS, ERRORS, GONE, IN_FLIGHT, CONNECTIONS, BATCH_EXAMPLES, QUEUE_SECONDS),
    *(MODEL_SECONDS, QUEUED, QUEUE_LIMIT, LOADED, LOAD_SECONDS, WEIGHT, LOG_DROPPED, SERIES_DROPPED),
    *(UP, CPU, RSS, FILES, MOST_FILES, STARTED, GPU_USED, GPU_MEMORY, GPU_MEMORY_ALL, GPU_HEAT, GPU_POWER),
)
"""What ``/metrics`` answers, in this order."""
BY_NAME = {family.name: family for family in (*KEPT, *SHOWN)}
