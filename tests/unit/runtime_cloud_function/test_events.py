"""CloudEvents: what is predicted, where predictions go, and what is never done twice or for ever."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from clouddeploy.runtime.cloud_function import CloudFunction, start
from clouddeploy.runtime.cloud_function.events import FINALIZED, MARK, PUBSUB, EventFailed
from tests.unit.runtime_cloud_function.conftest import Event, environ
from tests.unit.runtime_cloud_function.google import Google, Stored
from tests.unit.runtime_function.conftest import MakePackage

INPUT = b'{"inputs":[[1,2]]}'
OUTPUT = b'{"predictions":[[2.0,4.0]]}'


def published(body: bytes | str = INPUT, **attributes: str) -> Event:
    data = base64.b64encode(body).decode() if isinstance(body, bytes) else body
    message = {"data": data, "attributes": attributes, "messageId": "m1"}
    return Event(PUBSUB, {"message": message, "subscription": "projects/p/subscriptions/s"})


def finished(name: str, content_type: str = "application/json", **more: Any) -> Event:
    facts = {"bucket": "in", "name": name, "generation": "7", "contentType": content_type, "size": "18"}
    return Event(FINALIZED, facts | more)


def last_line(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return found


def made(package: MakePackage, google: Google, *handler: str, **more: str) -> CloudFunction:
    found = start(package(*handler), environ(google, None, **more))
    found._take._storage._delay_s = 0
    return found


def test_a_message_is_predicted_and_told_on_the_log(
    function: CloudFunction, capsys: pytest.CaptureFixture[str]
) -> None:
    function.on_event(published())
    line = last_line(capsys)
    assert (line["severity"], line["requestId"], line["status"], line["batch"]) == ("INFO", "e1", 200, 1)


def test_predictions_of_a_message_go_where_the_variable_says(package: MakePackage, google: Google) -> None:
    function = made(package, google, CLOUDDEPLOY_OUTPUT="gs://out/scores/")
    function.on_event(published(b"1,2\n", content_type="text/csv"))
    stored = google.objects["out", "scores/m1.predictions.csv"]
    assert (stored.body, stored.content_type) == (b"2.0,4.0\n", "text/csv")
    assert stored.metadata == {MARK: "a" * 64}


@pytest.mark.parametrize(
    ("event", "code"),
    [
        (published("no base64!"), "bad_input"),
        (published(b"{"), "bad_json"),
        (published(INPUT, content_type="application/xml"), "unsupported_media_type"),
        (Event(PUBSUB, None), "bad_input"),
        (Event(PUBSUB, {"message": []}), "bad_input"),
        (Event(FINALIZED, None), "bad_input"),
        (Event(FINALIZED, {"bucket": "in"}), "bad_input"),
        (Event("google.cloud.audit.log.v1.written", {}), "bad_input"),
        (finished("x.json", size=str(2**30)), "too_large"),
        (finished("x.json", size="many"), "too_large"),
    ],
)
def test_what_never_succeeds_is_told_and_done_with(
    event: Event, code: str, function: CloudFunction, capsys: pytest.CaptureFixture[str]
) -> None:
    function.on_event(event)
    line = last_line(capsys)
    assert (line["severity"], line["error"]["code"]) == ("WARNING", code)


def test_a_finished_object_is_predicted_beside_itself(package: MakePackage, google: Google) -> None:
    google.objects["in", "day/one.json"] = Stored(INPUT)
    made(package, google).on_event(finished("day/one.json"))
    stored = google.objects["in", "day/one.json.predictions.json"]
    assert (stored.body, stored.content_type) == (OUTPUT, "application/json")
    assert google.tokens == ["Bearer token-1"]


def test_the_media_type_comes_from_the_name_where_the_upload_had_none(
    package: MakePackage, google: Google
) -> None:
    google.objects["in", "one.CSV"] = Stored(b"1,2\n")
    made(package, google).on_event(finished("one.CSV", "application/octet-stream"))
    assert google.objects["in", "one.CSV.predictions.csv"].body == b"2.0,4.0\n"


@pytest.mark.parametrize(
    "event",
    [
        finished("one.json.predictions.json"),
        finished("renamed.json", metadata={MARK: "1"}),
        finished("scores/copied.json"),
    ],
)
def test_its_own_predictions_are_never_predicted(
    event: Event, package: MakePackage, google: Google, capsys: pytest.CaptureFixture[str]
) -> None:
    function = made(package, google, CLOUDDEPLOY_OUTPUT="gs://in/scores/")
    function.on_event(event)
    assert google.calls == []
    assert "nothing is done" in last_line(capsys)["message"]


def test_the_event_of_what_was_written_ends_there(package: MakePackage, google: Google) -> None:
    google.objects["in", "one.json"] = Stored(INPUT)
    function = made(package, google)
    function.on_event(finished("one.json"))
    ((_, name),) = google.objects.keys() - {("in", "one.json")}
    before = list(google.calls)
    function.on_event(finished(name, metadata=google.objects["in", name].metadata, generation="8"))
    assert google.calls == before


def test_an_object_that_was_replaced_meanwhile_is_left_to_its_own_event(
    package: MakePackage, google: Google, capsys: pytest.CaptureFixture[str]
) -> None:
    google.objects["in", "one.json"] = Stored(INPUT, generation="9")
    made(package, google).on_event(finished("one.json"))
    assert "nothing is done" in last_line(capsys)["message"]


def test_passing_faults_are_tried_again(package: MakePackage, google: Google) -> None:
    google.objects["in", "one.json"] = Stored(INPUT)
    google.faults = [503, 0, 429]
    made(package, google).on_event(finished("one.json"))
    assert google.objects["in", "one.json.predictions.json"].body == OUTPUT


def test_storage_that_stays_away_fails_the_event(package: MakePackage, google: Google) -> None:
    google.objects["in", "one.json"] = Stored(INPUT)
    google.faults = [503] * 5
    with pytest.raises(EventFailed, match=r"gs://in/one\.json#7 can't be read: 503: as told"):
        made(package, google).on_event(finished("one.json"))
    google.faults = [403]
    with pytest.raises(EventFailed, match="403"):
        made(package, google).on_event(finished("one.json"))
    assert google.faults == []


def test_predictions_that_can_not_be_written_fail_the_event_with_what_is_needed(
    package: MakePackage, google: Google
) -> None:
    function = made(package, google, CLOUDDEPLOY_OUTPUT="gs://out/")
    google.faults = [403]
    with pytest.raises(EventFailed, match=r"roles/storage\.objectUser"):
        function.on_event(published())


def test_a_model_that_fails_fails_the_event(
    package: MakePackage, google: Google, capsys: pytest.CaptureFixture[str]
) -> None:
    function = made(package, google, "def predict(x):\n    raise KeyError('secret')\n")
    with pytest.raises(EventFailed, match="the model failed"):
        function.on_event(published())
    assert "KeyError: 'secret'" in last_line(capsys)["stack_trace"]
