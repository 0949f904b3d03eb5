"""All harnesses by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tools.fuzz import bodies, credentials, transport

TARGETS: Mapping[str, Callable[[bytes], None]] = {
    harness.__name__: harness
    for harness in (
        *(bodies.json_body, bodies.npy_body, bodies.csv_body, bodies.predictions),
        *(bodies.quick_json, bodies.quick_npy, bodies.quick_answers),
        *(bodies.v2_json, bodies.v2_bytes, bodies.v2_parsing, bodies.tensorflow_serving, bodies.grpc_message),
        *(transport.head, transport.remembered_head, transport.chunks),
        *(credentials.token, credentials.key_set, credentials.key_file, credentials.api_key),
        credentials.compressed,
    )
}
