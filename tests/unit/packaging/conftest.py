"""Members and models of real files."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from clouddeploy.packaging import Member


@pytest.fixture
def on_disk(tmp_path: Path) -> Callable[..., Member]:
    """Makes a member of a new file with the given content."""

    def make(name: str, content: bytes) -> Member:
        path = tmp_path / f"source-{sha256(name.encode()).hexdigest()[:8]}"
        path.write_bytes(content)
        return Member(name, len(content), sha256(content).hexdigest(), path)

    return make
