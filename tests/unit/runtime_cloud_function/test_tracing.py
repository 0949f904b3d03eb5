from __future__ import annotations

import pytest

from clouddeploy.runtime.cloud_function.tracing import Trace, trace_of

ID = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("traceparent", "google", "expected"),
    [
        (f"00-{ID}-{SPAN}-01", "", Trace(ID, SPAN, True)),
        (f"00-{ID}-{SPAN}-00", f"{'a' * 32}/1;o=1", Trace(ID, SPAN, False)),
        ("", f"{ID}/67667974448284343;o=1", Trace(ID, SPAN, True)),
        ("", ID.upper(), Trace(ID)),
        ("broken", f"{ID}/1", Trace(ID, "0000000000000001")),
        (f"00-{'0' * 32}-{SPAN}-01", "", None),
        ("", f"{'0' * 32}/1;o=1", None),
        ("", "x", None),
        ("", "", None),
        (f"00-{ID}-{SPAN}-01\n{{}}", "", None),
    ],
)
def test_the_trace_is_read_from_either_header(traceparent: str, google: str, expected: Trace | None) -> None:
    assert trace_of(traceparent, google) == expected
