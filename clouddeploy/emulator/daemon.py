"""The embedded cloud as a process: in the background for a user, or under a test's hand."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from clouddeploy.emulator.connection import Connection, state_file, state_folder, write_state
from clouddeploy.emulator.settings import Settings

if TYPE_CHECKING:
    from clouddeploy.emulator.cloud import Cloud


@contextmanager
def serving(settings: Settings, folder: Path, *, port: int = 0) -> Iterator[Cloud]:
    """A cloud that answers, ended with all its containers when the block is left."""
    from clouddeploy.emulator.cloud import Cloud

    folder.mkdir(parents=True, exist_ok=True)
    cloud = Cloud(settings, folder, port=port)
    cloud.start()
    try:
        yield cloud
    finally:
        cloud.close()
        shutil.rmtree(folder, ignore_errors=True)


def serve_user(*, port: int, settings: Settings) -> Connection:
    """Serve as this user's daemon until it is told to stop."""
    with serving(settings, state_folder() / "containers", port=port) as cloud:
        _stop_on_signals(cloud)
        write_state(cloud.url, cloud.identity, google_url=cloud.google.url)
        cloud.stopped.wait()
        state_file().unlink(missing_ok=True)
        return Connection(cloud.url, google_url=cloud.google.url)


def serve_supervised(*, port: int, settings: Settings) -> None:
    """Serve until standard input closes; the first line of standard output tells the address."""
    folder = Path(tempfile.mkdtemp(prefix="clouddeploy-"))
    with serving(settings, folder, port=port) as cloud:
        _stop_on_signals(cloud)
        threading.Thread(target=_stop_with_parent, args=(cloud,), daemon=True).start()
        sys.stdout.write(json.dumps({"url": cloud.url, "google_url": cloud.google.url}) + "\n")
        sys.stdout.flush()
        cloud.stopped.wait()


def detach() -> None:
    """Leave the terminal's session, so that its end isn't ours."""
    with contextlib.suppress(PermissionError):  # already leads a session
        os.setsid()


def log_to_stderr() -> None:
    """This process is an application of its own: it may configure logging."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for chatty in ("werkzeug", "botocore", "boto3", "urllib3"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def _stop_on_signals(cloud: Cloud) -> None:
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: cloud.stopped.set())


def _stop_with_parent(cloud: Cloud) -> None:
    while os.read(0, 4096):
        continue
    cloud.stopped.set()
