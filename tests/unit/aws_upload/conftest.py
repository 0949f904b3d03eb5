from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from clouddeploy.packaging import Member
from tests.unit.aws_upload.memory_s3 import S3


@pytest.fixture
def s3() -> S3:
    return S3()


@pytest.fixture
def on_disk(tmp_path: Path) -> Callable[[str, bytes], Member]:
    """Makes a member of a new file with the given content."""

    def make(name: str, content: bytes) -> Member:
        path = tmp_path / name.replace("/", "-")
        path.write_bytes(content)
        return Member(name, len(content), sha256(content).hexdigest(), path)

    return make
