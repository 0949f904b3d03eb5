"""The instances of one revision: who gets a request, when there are more of them, and when fewer.

"About instance autoscaling in Cloud Run services": instances are added so that each has about 60 % of its
highest concurrency, here at once and not by an average over a minute; one without requests is ended after
a while. "Maximum concurrent requests per instance" is a limit, and so is the number of instances: a
request waits for 3.5 times the usual start of an instance, at least ten seconds, and is then refused
("Set maximum instances for services", "Troubleshooting": 429).
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from clouddeploy.emulator.google.plane.instance import Instance, NotReady
from clouddeploy.emulator.google.plane.spec import RevisionSpec
from clouddeploy.emulator.http.message import Request, Response
from clouddeploy.emulator.http.upstream import NotReached, Unreachable

if TYPE_CHECKING:
    from clouddeploy.emulator.google.plane.revisions import Revisions

TARGET = 0.6
STARTS_WAITED = 3.5
TICK_S = 0.1
RETRY_S = 5.0
RESPONSE_LIMIT = 32 * 1024 * 1024
STARTING = max(2, os.cpu_count() or 1)
CUT = "upstream connect error or disconnect/reset before headers. reset reason:"


class Refused(Exception):
    """A request that no instance gets, and the answer to it."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        self.response = response


class Revision:
    """One revision that serves.

    Args:
        spec: what it is.
        plane: starts and keeps instances.
    """

    def __init__(self, spec: RevisionSpec, plane: Revisions) -> None:
        self.spec = spec
        self.min = spec.min
        self.service_max: int | None = None
        self.instances: list[Instance] = []
        self._plane = plane
        self._room = threading.Condition()
        self._starting = 0
        self._waiting = 0
        self._failed = 0
        self._failed_at = -math.inf
        self._why = ""
        self._gone = False
        # One more than this, and another instance is started.
        self._target = max(1, math.floor(spec.concurrency * TARGET))

    @property
    def size(self) -> int:
        """Its instances, those that are being started included."""
        return len(self.instances) + self._starting

    def begin(self) -> None:
        """Start the first instance.

        Raises:
            NotReady: it doesn't listen.
        """
        with self._room:
            self._starting += 1
            self._plane.has_room(self)
        self._start("Instance started to check the revision.")
        self.keep_warm()

    def _start(self, reason: str) -> None:
        """An instance more, for which the caller has counted up `_starting`."""
        instance = None
        try:
            instance = self._plane.make(self.spec, reason)
        except NotReady as error:
            with self._room:
                self._failed += 1
                self._failed_at, self._why = time.monotonic(), error.message
            raise
        finally:
            with self._room:
                self._starting -= 1
                surplus = instance is not None and self._gone
                if instance is not None and not surplus:
                    self.instances.append(instance)
                self._room.notify_all()
        if instance is not None and surplus:
            self._plane.end(instance, grace_s=0)

    def _start_beside(self, reason: str) -> None:
        def run() -> None:
            try:
                self._start(reason)
            except NotReady as error:
                self.spec.log("ERROR", error.message)

        self._starting += 1
        threading.Thread(target=run, name="instance", daemon=True).start()

    def _grow(self) -> None:
        """Start what the load asks for; `_room` is held."""
        load = sum(i.busy for i in self.instances) + self._waiting
        wanted = min(self.spec.max, math.ceil(load / self._target))
        have = self.size
        room = self._starting < STARTING and not self._gone
        if have < wanted and room and self._plane.has_room(self):
            self._start_beside("AUTOSCALING - Instance started due to the load.")

    def keep_warm(self) -> None:
        """Start what is missing to the least number."""
        with self._room:
            wanted = min(self.min, self.spec.max)
            paused = time.monotonic() - self._failed_at < RETRY_S
            while self.size < wanted and not self._gone and not paused:
                self._start_beside("MIN_INSTANCES - Instance started to keep the configured minimum.")

    def handle(self, request: Request) -> Response:
        """The answer of one of its instances, or the front end's when none gives one."""
        try:
            while True:
                instance = self._acquire()
                try:
                    return self._checked(instance.send(request))
                except NotReached:
                    if not instance.ended():  # its port is full: not a reason to try for ever
                        raise
                finally:
                    self._release(instance)
        except Refused as error:
            return error.response
        except TimeoutError:
            self.spec.log(
                "ERROR",
                "The request has been terminated because it has reached the maximum request timeout. "
                "To change this limit, see https://cloud.google.com/run/docs/configuring/request-timeout",
            )
            return page(504, "upstream request timeout")
        except Unreachable:
            self.spec.log(
                "ERROR",
                "The request failed because either the HTTP response was malformed or connection to the "
                "instance had an error. Additional troubleshooting documentation can be found at: "
                "https://cloud.google.com/run/docs/troubleshooting#malformed-response-or-connection-error",
            )
            return page(503, f"{CUT} connection termination")

    def _checked(self, response: Response) -> Response:
        # Without chunks a response is limited ("Cloud Run Quotas and Limits": 32 MiB over HTTP/1).
        if len(response.body) > RESPONSE_LIMIT and response.header("content-length"):
            self.spec.log("ERROR", "Response size was too large. Please consider reducing response size.")
            return page(500, "Internal Server Error")
        response.headers.append(("Server", "Google Frontend"))
        return response

    def _free(self) -> Instance | None:
        best: Instance | None = None
        for instance in self.instances:
            if instance.busy < self.spec.concurrency and (best is None or instance.busy < best.busy):
                best = instance
        return best

    def _acquire(self) -> Instance:
        """An instance with room, marked one busier.

        Raises:
            Refused: there is none, and none will be.
        """
        with self._room:
            instance = self._free()
            if instance is None:
                instance = self._wait()
            instance.busy += 1
            if self.size < self.spec.max:
                self._grow()
            return instance

    def _wait(self) -> Instance:
        began, failed = time.monotonic(), self._failed
        slowest = max((i.cold_start_s for i in self.instances), default=0)
        patience = max(self._plane.queue_s, STARTS_WAITED * slowest)
        self._waiting += 1
        try:
            while True:
                self._grow()
                self._room.wait(TICK_S)
                instance = self._free()
                if instance is not None:
                    return instance
                if self._gone or (self._failed > failed and not self.instances):
                    raise Refused(page(503, "Service Unavailable"))
                if not self._starting and time.monotonic() - began > patience:
                    text = "The request was aborted because there was no available instance."
                    self.spec.log("ERROR" if not self.instances else "WARNING", text)
                    raise Refused(page(429, "Rate exceeded."))
        finally:
            self._waiting -= 1

    def _release(self, instance: Instance) -> None:
        with self._room:
            instance.busy -= 1
            instance.last_used = time.monotonic()
            if not instance.alive and instance in self.instances:
                self.instances.remove(instance)
            if self._waiting or self._gone:
                self._room.notify()
            elif not instance.busy:
                return
        if not instance.alive:
            self._plane.end(instance, grace_s=0)

    def sweep(self, idle_s: float, end: Callable[[Instance], None]) -> None:
        """Take out what is dead, or idle for longer than `idle_s` and not kept warm; `end` gets each."""
        now = time.monotonic()
        with self._room:
            dead = [i for i in self.instances if not i.alive]
            live = [i for i in self.instances if i not in dead]
            tired = [i for i in live if not i.busy and now - i.last_used > idle_s]
            tired = tired[: max(0, len(live) - self.min)]
            self.instances = [i for i in live if i not in tired]
        for instance in dead:
            self.spec.log("ERROR", f"Container terminated: {instance.killed_for or 'its process has ended.'}")
        for instance in (*dead, *tired):
            end(instance)
        self.keep_warm()

    def idle_since(self) -> float:
        """When its longest idle instance was last used; infinity where none can be done without."""
        found = list(self.instances)
        idle = [i.last_used for i in found if not i.busy]
        return min(idle) if idle and len(found) > self.min else math.inf

    def surrender(self) -> Instance | None:
        """Give the longest idle instance away, unless it is kept warm or somebody is at work here.

        It doesn't wait for the revision's lock: two revisions may ask one another at once.
        """
        if not self._room.acquire(blocking=False):
            return None
        try:
            idle = [i for i in self.instances if not i.busy]
            if not idle or len(self.instances) <= self.min:
                return None
            oldest = min(idle, key=lambda i: i.last_used)
            self.instances.remove(oldest)
            return oldest
        finally:
            self._room.release()

    def retire(self) -> list[Instance]:
        """Give no more requests to it; the instances that it had."""
        with self._room:
            self._gone = True
            found, self.instances = self.instances, []
            self._room.notify_all()
            return found


def page(status: int, text: str) -> Response:
    """An answer of the front end's own."""
    return Response(status, [("Content-Type", "text/plain"), ("Server", "Google Frontend")], text.encode())
