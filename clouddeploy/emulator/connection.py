"""Where the embedded cloud answers, and the one that runs in the background for this user.

Standard library only: nothing here loads moto or an SDK.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from clouddeploy.emulator.settings import ACCOUNT, Settings
from clouddeploy.errors import CloudDeployError, Timeout

REGION = "us-east-1"
KEY = "emulated"
GOOGLE_PROJECT = "embedded"
GOOGLE_REGION = "europe-west1"
PROBE_S = 5.0
STOP_S = 15.0
LOG_TAIL = 2000
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Connection:
    """What a client needs to reach the embedded cloud.

    Args:
        url: its address on loopback.
        region: default region; every region exists.
        access_key_id: any is taken.
        secret_access_key: any is taken.
        account: the one account.
        google_url: its address for Google Cloud, on loopback, too.
        google_project: default project there; every project exists.
        google_region: default region there.
    """

    url: str
    region: str = REGION
    access_key_id: str = KEY
    secret_access_key: str = KEY
    account: str = ACCOUNT
    google_url: str = ""
    google_project: str = GOOGLE_PROJECT
    google_region: str = GOOGLE_REGION

    def env(self) -> dict[str, str]:
        """The environment variables that boto3, gcloud, both command lines and others obey."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_REGION": self.region,
            **(self._google_env() if self.google_url else {}),
        }

    def _google_env(self) -> dict[str, str]:
        """Variables of the storage clients and of gcloud ("gcloud topic configurations", ``CLOUDSDK_…``)."""
        products = ("CLOUDFUNCTIONS", "RUN", "IAM", "LOGGING", "ARTIFACTREGISTRY", "SECRETMANAGER")
        overrides = {f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{p}": f"{self.google_url}/" for p in products}
        overrides["CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE"] = f"{self.google_url}/storage/v1/"
        return {
            "STORAGE_EMULATOR_HOST": self.google_url,
            "GOOGLE_CLOUD_PROJECT": self.google_project,
            "CLOUDSDK_CORE_PROJECT": self.google_project,
            "CLOUDSDK_FUNCTIONS_REGION": self.google_region,
            "CLOUDSDK_RUN_REGION": self.google_region,
            "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
            **overrides,
        }


def state_folder() -> Path:
    """Where the daemon keeps its state: ``CLOUDDEPLOY_STATE_DIR``, else the user's state folder."""
    chosen = os.environ.get("CLOUDDEPLOY_STATE_DIR")
    if chosen:
        return Path(chosen)
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "clouddeploy"


def state_file() -> Path:
    """The file that names the running daemon."""
    return state_folder() / "emulator.json"


def log_file() -> Path:
    """What the daemon logs."""
    return state_folder() / "emulator.log"


def running() -> Connection | None:
    """The daemon of this user, if one answers; a file left by a dead one counts for nothing."""
    state = _read_state()
    if state is None or not _answers(state):
        return None
    return Connection(state["url"], google_url=state.get("google_url", ""))


def start(
    *,
    port: int = 0,
    background: bool = True,
    settings: Settings | None = None,
    progress: Progress | None = None,
    timeout_s: float = 120,
) -> Connection:
    """Start the daemon, and return once it answers; one that runs already is returned as it is.

    Args:
        port: where it shall answer on 127.0.0.1; 0 lets the operating system choose.
        background: False runs it in this process, and returns when it was stopped.
        settings: times and limits.
        progress: told what goes on, in a few words.
        timeout_s: seconds to wait for its first answer.

    Raises:
        CloudDeployError: it ended at once; the end of its log is in the message.
        Timeout: it didn't answer in time.
    """
    with _only_one():
        found = running()
        if found is not None:
            return found
        _forget()
        if background:
            (progress or _silent)("starting the embedded cloud")
            return _launch(port, settings or Settings(), progress or _silent, timeout_s)
    from clouddeploy.emulator.daemon import serve_user

    return serve_user(port=port, settings=settings or Settings())


def connect(*, progress: Progress | None = None) -> Connection:
    """The daemon that runs, or a new one."""
    return running() or start(progress=progress)


def stop() -> bool:
    """End the daemon and all that it started; whether there was one."""
    with _only_one():
        state = _read_state()
        found = state is not None and _answers(state)
        if state is not None and found:
            request(state["url"], "POST", "stop")
            _wait_gone(int(state["pid"]))
        _forget()
    return found


def request(url: str, method: str, action: str, body: Mapping[str, Any] | None = None) -> Any:
    """Call one of the emulator's own paths; the JSON answer.

    Raises:
        OSError: nobody answers there.
        CloudDeployError: it refused.
    """
    from http.client import HTTPConnection

    connection = HTTPConnection(url.removeprefix("http://"), timeout=60 if method == "POST" else PROBE_S)
    try:
        connection.request(method, f"/_clouddeploy/{action}", json.dumps(dict(body or {})))
        answer = connection.getresponse()
        found = json.loads(answer.read() or b"{}")
    finally:
        connection.close()
    if answer.status != 200:
        raise CloudDeployError(f"the embedded cloud refused {action}", why=str(found.get("error", "")))
    return found


def write_state(url: str, identity: str, *, google_url: str = "") -> None:
    """Name the process that calls this as the daemon; replaces the file in one step."""
    path = state_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(f".{os.getpid()}")
    told = {"pid": os.getpid(), "url": url, "google_url": google_url, "identity": identity}
    fresh.write_text(json.dumps(told), encoding="utf-8")
    fresh.replace(path)


@contextmanager
def _only_one() -> Iterator[None]:
    folder = state_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "emulator.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _read_state() -> dict[str, Any] | None:
    try:
        state = json.loads(state_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    good = isinstance(state, dict) and {"pid", "url", "identity"} <= set(state)
    return state if good else None


def _answers(state: Mapping[str, Any]) -> bool:
    """Whether the daemon of that state file is the one that answers there, not a stranger on its port."""
    try:
        answer = request(state["url"], "GET", "state")
    except (OSError, ValueError, CloudDeployError):
        return False
    return isinstance(answer, dict) and answer.get("identity") == state["identity"]


def _forget() -> None:
    state_file().unlink(missing_ok=True)
    shutil.rmtree(state_folder() / "containers", ignore_errors=True)


def _launch(port: int, settings: Settings, progress: Progress, timeout_s: float) -> Connection:
    log = log_file()
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(p for p in (root, os.environ.get("PYTHONPATH", "")) if p)
    arguments = ["--port", str(port), "--settings", json.dumps(asdict(settings))]
    # Not subprocess: its objects complain about children that outlive them, which is the aim here.
    pid = os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", "clouddeploy.emulator", "--detached", *arguments],
        {**os.environ, "PYTHONPATH": path},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
    )
    # When it ends before this process does, it must not stay as a zombie that seems to live.
    threading.Thread(target=_reap, args=(pid,), name="clouddeploy-emulator", daemon=True).start()
    began = time.monotonic()
    told = 0
    while not _gone(pid):
        found = running()
        elapsed = time.monotonic() - began
        if found is not None:
            progress(f"the embedded cloud answers at {found.url} ({elapsed:.1f} s)")
            return found
        if elapsed > timeout_s:
            os.kill(pid, signal.SIGKILL)
            _wait_gone(pid)
            raise Timeout(f"the embedded cloud did not answer within {timeout_s:g} s", fix=f"look into {log}")
        if int(elapsed) > told:
            told = int(elapsed)
            progress(f"loading the embedded cloud, {told} s")
        time.sleep(0.05)
    tail = log.read_text(encoding="utf-8", errors="replace")[-LOG_TAIL:].strip()
    raise CloudDeployError(
        "the embedded cloud could not start", why=tail, fix="pip install 'clouddeploy[emulator]'"
    )


def _gone(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):  # it is another process's child, or was awaited already
        if os.waitpid(pid, os.WNOHANG)[0] == pid:
            return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def _reap(pid: int) -> None:
    with contextlib.suppress(ChildProcessError):  # it was awaited already
        os.waitpid(pid, 0)


def _wait_gone(pid: int) -> None:
    deadline = time.monotonic() + STOP_S
    killed = False
    while not _gone(pid):
        if time.monotonic() > deadline:
            if killed:
                raise Timeout(f"the embedded cloud (process {pid}) doesn't end", fix=f"kill -9 {pid}")
            os.kill(pid, signal.SIGKILL)
            killed = True
            deadline += STOP_S
        time.sleep(0.02)


def _silent(_: str) -> None:
    """Progress that nobody wants."""
