"""CloudEvents: messages of Pub/Sub and finished objects of Cloud Storage.

Shapes: ``google.cloud.pubsub.topic.v1.messagePublished`` (MessagePublishedData) and
``google.cloud.storage.object.v1.finalized`` (StorageObjectData), of googleapis/google-cloudevents.

Events come at least once. Predictions of the same event are written to the same name, so that twice does
no harm.
"""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clouddeploy.runtime.cloud_function.journal import Journal
from clouddeploy.runtime.cloud_function.settings import OUTPUT, Settings
from clouddeploy.runtime.cloud_function.storage import Object, Storage, StorageError
from clouddeploy.runtime.decode import CSV, JSON, NPY
from clouddeploy.runtime.errors import WireError
from clouddeploy.runtime.function.exchange import Exchange, Reply
from clouddeploy.runtime.function.guarded import GuardedService
from clouddeploy.runtime.service import BODY_LIMIT

PUBSUB = "google.cloud.pubsub.topic.v1.messagePublished"
FINALIZED = "google.cloud.storage.object.v1.finalized"
MARK = "clouddeploy-predictions"
"""Metadata of every object that is written here, by which its own event is known."""
INFIX = ".predictions."
MOST_BYTES = BODY_LIMIT
"""Bytes of the largest object that is read; there is no limit of the platform's but memory."""
SUFFIXES = {JSON: "json", NPY: "npy", CSV: "csv"}
_TYPES = {f".{suffix}": kind for kind, suffix in SUFFIXES.items()}


class EventFailed(Exception):
    """An event that may succeed another time; raised, so that the platform knows."""


@dataclass(frozen=True)
class _Input:
    """What is to be predicted.

    Args:
        body: the request.
        content_type: its media type.
        output: where the predictions go, but for the suffix of their media type; None drops them.
    """

    body: bytes
    content_type: str
    output: Object | None


class EventTaker:
    """Takes events.

    Args:
        storage: where objects are.
        settings: where predictions go.
        log: hears of each event.
    """

    def __init__(self, storage: Storage, settings: Settings, log: Journal) -> None:
        self._storage = storage
        self._settings = settings
        self._log = log

    def __call__(self, event: Any, service: GuardedService) -> None:
        """Predict what `event` holds or names, and write the predictions.

        Raises:
            EventFailed: it may succeed another time.
        """
        started = time.perf_counter()
        exchange = Exchange(service, (), _of_any_size)
        name, kind = _text(event, "id"), _text(event, "type")
        try:
            found = self._input(event, name, kind)
            if found is None:
                return
            accept = f"{found.content_type.partition(';')[0] or JSON}, {JSON};q=0.9"
            reply = exchange.predict(found.body, found.content_type, accept, name)
        except WireError as error:
            found, reply = None, exchange.refused(error, name)
        except StorageError as error:
            self._unread(error, name)
            return
        facts = dict(reply.facts)
        if reply.answer.status == 200 and found is not None and found.output is not None:
            facts["output"] = self._write(reply, found.output)
        ms = (time.perf_counter() - started) * 1e3
        self._log.request(name, reply.answer.status, ms, kind=kind, **facts)
        if reply.answer.status >= 500:
            raise EventFailed(f"the event {name} failed: {reply.facts['error']['message']}")

    def _input(self, event: Any, name: str, kind: str) -> _Input | None:
        """What `event` asks for; None where nothing is to be done.

        Raises:
            WireError: it is malformed, of another type, or the object is too large.
            StorageError: the object can't be read.
        """
        data = getattr(event, "data", None)
        if kind == PUBSUB:
            return self._message(_object(data, "message"))
        if kind == FINALIZED:
            return self._finalized(_object({"object": data}, "object"), name)
        raise WireError("bad_input", f"the event's type is {kind[:80]!r}", f"send {PUBSUB} or {FINALIZED}")

    def _message(self, message: Mapping[str, Any]) -> _Input:
        attributes = _object(message, "attributes") if message.get("attributes") else {}
        named = {str(key).lower().replace("-", "_"): value for key, value in attributes.items()}
        kind = named.get("content_type", JSON)
        try:
            body = base64.b64decode(message.get("data") or "", validate=True)
        except (TypeError, ValueError, binascii.Error) as error:
            raise WireError(
                "bad_input", "the message's data is no base64", "publish through Pub/Sub"
            ) from error
        name = str(message.get("messageId") or message.get("message_id") or "")
        output = self._settings.output
        where = Object(output.bucket, f"{output.prefix}{name}") if output and name else None
        return _Input(body, str(kind), where)

    def _finalized(self, data: Mapping[str, Any], name: str) -> _Input | None:
        source = Object(*(str(data.get(key, "")) for key in ("bucket", "name", "generation")))
        if not source.bucket or not source.name:
            raise WireError("bad_input", "the event names no object", "send what Cloud Storage sends")
        if self._is_ours(source, data):
            self._log.event("INFO", f"{source} is of our own predictions: nothing is done", name)
            return None
        size = str(data.get("size") or 0)
        if not size.isdecimal() or int(size) > MOST_BYTES:
            raise WireError(
                "too_large", f"{source} has {size[:20]} bytes; at most {MOST_BYTES} are read", "split it"
            )
        kind = _kind(str(data.get("contentType") or ""), source.name)
        body = self._storage.read(source, lambda stream: stream.read(MOST_BYTES + 1))
        output = self._settings.output
        where = (
            Object(output.bucket, f"{output.prefix}{source.name}")
            if output
            else Object(source.bucket, source.name)
        )
        return _Input(body, kind, where)

    def _is_ours(self, source: Object, data: Mapping[str, Any]) -> bool:
        """Whether `source` was written here, or lies where that is: then it would go on for ever."""
        output = self._settings.output
        marked = MARK in (data.get("metadata") or {})
        infixed = INFIX in source.name.rpartition("/")[2]
        below = output is not None and output.bucket == source.bucket and bool(output.prefix)
        return marked or infixed or (below and source.name.startswith(output.prefix if output else ""))

    def _write(self, reply: Reply, output: Object) -> str:
        """Write the predictions; where they are."""
        kind = reply.answer.content_type
        target = Object(output.bucket, f"{output.name}{INFIX}{SUFFIXES.get(kind, 'bin')}")
        release = reply.answer.headers.get("x-clouddeploy-model", "")
        try:
            self._storage.write(target, reply.answer.body, kind, {MARK: release or "1"})
        except StorageError as error:
            needs = f" ({OUTPUT} names the bucket; the service account needs roles/storage.objectUser on it)"
            raise EventFailed(f"{error}{needs if error.status in (403, 404) else ''}") from error
        return str(target)

    def _unread(self, error: StorageError, name: str) -> None:
        if error.status != 404:
            raise EventFailed(str(error)) from error
        self._log.event("WARN", f"{error}: it is gone or was replaced, and nothing is done", name)


def _of_any_size(body: bytes) -> None:
    """What came with an event is within the platform's limits already."""


def _text(event: Any, name: str) -> str:
    try:
        return str(event[name])
    except (KeyError, TypeError, IndexError):
        return ""


def _object(data: Any, name: str) -> Mapping[str, Any]:
    found = data.get(name) if isinstance(data, dict) else None
    if not isinstance(found, dict):
        raise WireError("bad_input", f"the event's data holds no {name}", "send what the platform sends")
    return found


def _kind(content_type: str, name: str) -> str:
    """The object's media type; by its name's suffix where it was uploaded without one of ours."""
    if content_type.partition(";")[0].strip().lower() in SUFFIXES:
        return content_type
    suffix = next((kind for suffix, kind in _TYPES.items() if name.lower().endswith(suffix)), "")
    return suffix or content_type
