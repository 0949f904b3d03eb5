"""What every test keeps: no trace in the user's own folders. (Loopback alone: see pyproject.toml.)"""

from __future__ import annotations

import signal
from collections.abc import Iterator

import hypothesis
import pytest

# Machines that run tests are paused by their hosts: a time limit on an example only measures that.
hypothesis.settings.register_profile("clouddeploy", deadline=None)
hypothesis.settings.load_profile("clouddeploy")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Started in the background by a shell; the processes that tests interrupt would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def _own_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep state and caches of the tests apart from the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLOUDDEPLOY_STATE_DIR", str(tmp_path_factory.mktemp("state")))
        # Shared by all workers, because what is kept there is found by its digest.
        patch.setenv("CLOUDDEPLOY_CACHE_DIR", str(tmp_path_factory.getbasetemp().parent / "cache"))
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_CONFIG_FILE", str(tmp_path_factory.getbasetemp() / "no-aws-config"))
        patch.setenv(
            "AWS_SHARED_CREDENTIALS_FILE", str(tmp_path_factory.getbasetemp() / "no-aws-credentials")
        )
        for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION"):
            patch.delenv(name, raising=False)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
            patch.delenv(name, raising=False)
        yield
