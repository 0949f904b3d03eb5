"""What can be done with this machine's services, as ``(service, operation, params)``.

Every operation is idempotent, and whole or not at all: files are written beside and renamed, and what a
process that was killed left half done is finished, or taken away, by the next one.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from clouddeploy.errors import CloudError
from clouddeploy.providers.local import control, invocation, logfile
from clouddeploy.providers.local.locks import Locks
from clouddeploy.providers.local.places import (
    HIDDEN,
    Place,
    alone,
    is_held,
    read_json,
    sync_folder,
    tidy,
    write_json,
)

TURN_S = 0.01
FOLDER = "CLOUDDEPLOY_LOCAL_DIR"
Answer = dict[str, Any]


def usual_folder() -> Path:
    """Where services are kept: ``CLOUDDEPLOY_LOCAL_DIR``, else ``local`` in the user's state folder."""
    chosen = os.environ.get(FOLDER)
    if chosen:
        return Path(chosen)
    state = os.environ.get("CLOUDDEPLOY_STATE_DIR")
    home = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "clouddeploy"
    return (Path(state) if state else home) / "local"


class Machine:
    """The services of one state folder.

    Args:
        folder: it; made when something is put there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._locks = Locks(folder)

    def answer(self, service: str, operation: str, params: Mapping[str, Any]) -> Any:
        """Carry out one operation, as a transport does.

        Raises:
            CloudError: refused; its ``code`` says why (``NotFound``, ``InUse``, …).
            OSError: the system refused.
        """
        if operation in ("GetLock", "PutLock", "DeleteLock"):
            if operation == "DeleteLock":
                tidy(self.place(params["name"]))
            return self._locks.answer(operation, params)
        known: dict[str, Callable[..., Any]] = {
            "ListServices": self._list_services,
            "ListReleases": self._list_releases,
            "DescribeRelease": self._describe_release,
            "CreateRelease": self._create_release,
            "DeleteRelease": self._delete_release,
            "DescribeService": self._describe_service,
            "CreateService": self._put_service,
            "UpdateService": self._put_service,
            "DeleteService": self._delete_service,
            "InvokeService": self._invoke,
            "GetLogs": self._logs,
            "GetMetrics": self._metrics,
        }
        if operation not in known:
            raise refused("UnknownOperation", f"{service} has no operation {operation}")
        return known[operation](**params)

    def place(self, name: str) -> Place:
        """The folder of the deployment `name`."""
        return Place(self.folder / name)

    def _list_services(self) -> list[Answer]:
        if not self.folder.is_dir():
            return []
        names = sorted(p.name for p in self.folder.iterdir() if not p.name.startswith(HIDDEN))
        return [self._describe_service(name=name) for name in names if self.place(name).service.exists()]

    def _list_releases(self, *, name: str) -> list[Answer]:
        """The releases that are there; those that served last come first."""
        place = self.place(name)
        found = [self._described(place, release) for release in place.listed()]
        return sorted(found, key=lambda row: (-row["served"], row["name"]))

    def _describe_release(self, *, name: str, release: str) -> Answer:
        if not self.place(name).release(release).is_dir():
            raise refused("NotFound", f"there is no release {release}")
        return self._described(self.place(name), release)

    def _described(self, place: Place, release: str) -> Answer:
        folder = place.release(release)
        state = read_json(folder / "release.json") or {}
        served = read_json(folder / "served") or {}
        return {"name": release, "state": state, "served": float(served.get("at", 0.0))}

    def _create_release(self, *, name: str, release: str, state: Mapping[str, Any], files: Any) -> None:
        place = self.place(name)
        if place.release(release).is_dir():
            return
        with alone(self.folder):
            place.releases.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f"{HIDDEN}{os.getpid()}-", dir=place.releases))
        try:
            files.write(fresh / "model")
            write_json(fresh / "release.json", dict(state))
            fresh.chmod(0o755)
            with alone(self.folder):
                if not place.release(release).is_dir():
                    fresh.rename(place.release(release))
            sync_folder(place.releases)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)

    def _delete_release(self, *, name: str, release: str) -> None:
        place = self.place(name)
        with alone(self.folder):
            wish = read_json(place.service)
            if wish is not None and release in wish["state"]["shares"] and not wish.get("deleting"):
                raise refused("InUse", f"release {release} is in service")
            if place.release(release).is_dir():
                place.release(release).rename(place.releases / f"{HIDDEN}{uuid.uuid4().hex}")
        tidy(place)

    def _put_service(self, *, name: str, state: Mapping[str, Any], keep_warm_s: float) -> None:
        """Ask for `state`, and make sure that a keeper looks after it."""
        place = self.place(name)
        for release in state["shares"]:
            if not place.model(release).is_dir():
                raise refused("ValidationException", f"there is no release {release}")
        with alone(self.folder):
            wish = read_json(place.service)
            told = read_json(place.state) or {}
            if wish is None or wish["state"] != state or wish.get("deleting") or _failed(wish, told):
                write_json(place.service, _wish(wish, state, keep_warm_s))
        control.ensure_keeper(place)

    def _describe_service(self, *, name: str, wait_s: float = 0.0) -> Answer:
        """How it stands; waits up to `wait_s` seconds for what is under way to end."""
        deadline = time.monotonic() + wait_s
        while True:
            found = self._seen(self.place(name))
            under_way = found["status"] in ("Creating", "Updating") or not found["settled"]
            if not under_way or time.monotonic() >= deadline:
                return found
            time.sleep(TURN_S)

    def _seen(self, place: Place) -> Answer:
        wish = read_json(place.service)
        if wish is None:
            raise refused("NotFound", f"there is no service {place.name}")
        lives = is_held(place.keeper_lock)
        told = (read_json(place.state) if lives else None) or {}
        return {
            "name": place.name,
            "state": wish["state"],
            "created": wish["created"],
            "status": _status(wish, told, lives=lives),
            "settled": bool(told.get("settled", not lives)),
            "reason": told.get("reason", "") if lives else "its background process isn't running",
            "tail": told.get("tail", []),
            "copies": told.get("copies", {}),
            "alarms": told.get("alarms", []),
            "host": told.get("host", ""),
            "port": told.get("port", 0),
        }

    def _delete_service(self, *, name: str) -> None:
        """End its processes, then remove its files; the one that names them last."""
        place = self.place(name)
        with alone(self.folder):
            wish = read_json(place.service)
            if wish is not None and not wish.get("deleting"):
                write_json(place.service, {**wish, "deleting": True})
        if wish is None:
            return
        control.end_keeper(place, str(wish["token"]))
        with alone(self.folder):
            for path in (place.state, place.keeper, place.port, place.keeper_lock):
                path.unlink(missing_ok=True)
            shutil.rmtree(place.log, ignore_errors=True)
            place.service.unlink(missing_ok=True)

    def _invoke(
        self, *, name: str, body: bytes, content_type: str, accept: str
    ) -> tuple[int, bytes, dict[str, str]]:
        place = self.place(name)
        wish = read_json(place.service)
        if wish is None:
            raise refused("NotFound", f"there is no service {name}")
        told = (read_json(place.state) if is_held(place.keeper_lock) else None) or {}
        if not told.get("in_force"):
            raise refused("NotRunning", f"service {name} isn't running")
        headers = {"content-type": content_type, "accept": accept}
        return invocation.send(int(told["port"]), body, headers, float(wish["state"]["timeout_s"]) + 5)

    def _logs(self, *, name: str, since_s: float, limit: int) -> list[str]:
        self._seen(self.place(name))
        return logfile.lines(self.place(name).log, since_s=since_s, limit=limit)

    def _metrics(self, *, name: str, since_s: float) -> Answer:
        self._seen(self.place(name))
        return control.order(self.place(name), {"do": "metrics", "since_s": since_s}) or {}


def refused(code: str, what: str) -> CloudError:
    """The answer to an operation that isn't carried out."""
    return CloudError(what, why=code, code=code)


def _wish(before: Mapping[str, Any] | None, state: Mapping[str, Any], keep_warm_s: float) -> Answer:
    """The content of service.json that asks for `state`."""
    now = time.time()
    anew = before is None or bool(before.get("deleting"))
    found = {} if before is None or anew else before
    same = bool(found) and found["state"]["autoscaling"] == state["autoscaling"]
    return {
        "state": dict(state),
        "keep_warm_s": keep_warm_s,
        "generation": int((before or {}).get("generation", 0)) + 1,
        "token": found.get("token") or uuid.uuid4().hex,
        "created": found.get("created") or datetime.now(UTC).isoformat(timespec="seconds"),
        "scaled_at": found["scaled_at"] if same else now,
    }


def _failed(wish: Mapping[str, Any], told: Mapping[str, Any]) -> bool:
    return bool(told.get("failed")) and told["failed"] == wish["generation"]


def _status(wish: Mapping[str, Any], told: Mapping[str, Any], *, lives: bool) -> str:
    if wish.get("deleting"):
        return "Deleting"
    if not lives:
        return "Stopped"
    if _failed(wish, told):
        return "Failed"
    if told.get("in_force") == wish["generation"]:
        return "InService"
    return "Updating" if told.get("in_force") else "Creating"
