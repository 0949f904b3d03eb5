"""ECR, images and image functions in the worker's embedded cloud; every test uses names of its own."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import pytest

from clouddeploy.emulator import Emulator
from clouddeploy.emulator.functions.base_image import PYTHON, architecture
from clouddeploy.packaging import Member
from clouddeploy.packaging.images import (
    Base,
    ImageArtifact,
    Reference,
    Registry,
    Retries,
    ecr_credentials,
)
from clouddeploy.packaging.images.blob import Blob
from clouddeploy.packaging.images.media import CONFIGS, LAYERS, MANIFESTS
from tests.emulator.conftest import REGION, Rig
from tests.emulator.functions.conftest import Functions

FAST = Retries(attempts=2, first_delay_s=0, most_delay_s=0)
GO = "def go(event, context):\n    return event\n"


def tar(entries: Iterable[tuple[str, bytes | str | None]]) -> bytes:
    """A tar: bytes are a file's content, text is a link's target, None is a folder."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        for name, content in entries:
            info = tarfile.TarInfo(name)
            if content is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(info)
            elif isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                archive.addfile(info)
            else:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return raw.getvalue()


@dataclass
class Images:
    """A client of the registry, and the steps that most tests begin with."""

    rig: Rig
    functions: Functions

    def __post_init__(self) -> None:
        self.ecr = self.rig.client("ecr")
        self.host = self.rig.emulator.url.partition("://")[2]
        credentials = ecr_credentials(self.call, hosts=(self.host,))
        self.registry = Registry(self.host, credentials=credentials, retries=FAST)

    def call(self, service: str, operation: str, /, **params: Any) -> Any:
        """One AWS call, as our libraries make it."""
        assert (service, operation, params) == ("ecr", "GetAuthorizationToken", {})
        return self.ecr.get_authorization_token()

    def repository(self, **options: Any) -> tuple[str, str]:
        """A new repository: its name in ECR, and in the registry."""
        name = self.rig.fresh("team/images")
        uri = self.ecr.create_repository(repositoryName=name, **options)["repository"]["repositoryUri"]
        return name, Reference.parse(uri).repository

    def image(self, files: dict[str, str] | None = None, **options: Any) -> ImageArtifact:
        """An image on the stand-in base with a handler ``app.go`` in it."""
        python, machine = options.pop("python", PYTHON), options.pop("architecture", architecture())
        base = Base.resolve(f"{self.host}/lambda/python:{python}", architecture=machine)
        members = [Member.of_bytes(k, v.encode()) for k, v in (files or {"app.py": GO}).items()]
        return ImageArtifact.of(base, members, **{"root": "/var/task", "cmd": ["app.go"], **options})

    def push(self, image: ImageArtifact | None = None, tag: str = "v1", **options: Any) -> str:
        """Push to a repository of its own; what to deploy."""
        found = image or self.image(**options)
        return found.push(self.registry, self.repository()[1], tag).reference

    def raw(self, repository: str, layers: list[bytes], **config: Any) -> str:
        """Push tars as an image; what to deploy."""
        entries = []
        for layer in layers:
            packed = gzip.compress(layer, mtime=0)
            blob = Blob.of_bytes(packed)
            self.registry.put_blob(repository, blob)
            entries.append({"mediaType": LAYERS["oci"], "digest": blob.digest, "size": blob.size})
        document = {
            "architecture": {"x86_64": "amd64"}.get(architecture(), "arm64"),
            "os": "linux",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{sha256(t).hexdigest()}" for t in layers]},
        }
        blob = Blob.of_bytes(json.dumps(document).encode())
        self.registry.put_blob(repository, blob)
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFESTS["oci"],
            "config": {"mediaType": CONFIGS["oci"], "digest": blob.digest, "size": blob.size},
            "layers": entries,
        }
        content = json.dumps(manifest).encode()
        digest = self.registry.put_manifest(repository, "raw", content, MANIFESTS["oci"])
        return f"{self.host}/{repository}@{digest}"

    def function(self, uri: str, **options: Any) -> str:
        """A function of an image; its name."""
        name = self.rig.fresh("function")
        self.functions.api.create_function(
            FunctionName=name,
            PackageType="Image",
            Code={"ImageUri": uri},
            Role=self.functions.role,
            **{"Architectures": [architecture()], "MemorySize": 256, "Timeout": 10, **options},
        )
        return name


@pytest.fixture(scope="session")
def images(rig: Rig, emulator: Emulator) -> Images:
    """ECR and Lambda in the worker's cloud."""
    assert REGION
    return Images(rig, Functions(rig))
