from __future__ import annotations

import gzip
import io
import json
import tarfile
import tempfile
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clouddeploy.errors import CloudDeployError
from clouddeploy.packaging import Member
from clouddeploy.packaging.images import Layer, Reference
from clouddeploy.packaging.images.auth import challenges
from clouddeploy.packaging.images.base import Base, read_base
from clouddeploy.packaging.images.blob import Progress, digest_of_bytes
from clouddeploy.packaging.images.compose import config_of, manifest_of
from clouddeploy.packaging.images.image import ImageArtifact
from clouddeploy.packaging.images.layer import pack
from clouddeploy.packaging.images.media import CONFIGS, LAYERS, MANIFESTS, Descriptor, document
from tests.unit.images.making import config_of as base_config

PART = st.text("abcXYZ09-_é. ", min_size=1, max_size=40).filter(
    lambda s: s.strip() and s.strip(". ") and s != ".."
)
CONTENT = st.dictionaries(
    st.lists(PART.filter(lambda s: not s.startswith(".wh.")), min_size=1, max_size=4).map("/".join),
    st.binary(max_size=2000),
    min_size=1,
    max_size=6,
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)


class Shelf:
    """An image's documents in memory."""

    host = repository = ""

    def __init__(self, manifest: object, config: object) -> None:
        self.config = json.dumps(config).encode()
        if isinstance(manifest, dict) and manifest.get("config") == "right":
            digest, size = digest_of_bytes(self.config), len(self.config)
            manifest = {**manifest, "config": {"mediaType": CONFIGS["oci"], "digest": digest, "size": size}}
        self.raw = json.dumps(manifest).encode()

    def manifest(self, wanted: str) -> tuple[bytes, str]:
        return self.raw, MANIFESTS["oci"]

    def fetch(self, wanted: Descriptor, file: io.BytesIO, told: object = None) -> None:
        file.write(self.config)

    def base(self) -> Base:
        return read_base(self, "v1", "arm64", "here", lambda digest: f"here@{digest}")


@given(CONTENT)
def test_a_layer_reads_back_and_does_not_depend_on_the_order_it_was_given_in(content):
    folders = {name[:i] for name in content for i, c in enumerate(name) if c == "/"}
    if folders & set(content):
        return
    members = [Member.of_bytes(name, data) for name, data in content.items()]
    with tempfile.TemporaryDirectory() as place:
        packed = pack(Layer.of(members, root="/var/task", what="files"), Path(place), Progress(None, 0))
        again = pack(Layer.of(members[::-1], root="/var/task", what="other"), Path(place), Progress(None, 0))
        raw = gzip.decompress(packed.path.read_bytes())
    assert packed == again
    assert packed.diff_id == f"sha256:{sha256(raw).hexdigest()}"
    assert len(raw) == Layer.of(members, root="/var/task", what="files").length
    with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
        found = {m.name: tar.extractfile(m).read() for m in tar.getmembers() if m.isfile()}
        made = {m.name for m in tar.getmembers() if m.isdir()}
    assert found == {f"var/task/{name}": data for name, data in content.items()}
    assert made == {"var/task", *(f"var/task/{folder}" for folder in folders)}


@given(JSON, JSON)
def test_a_base_of_whatever_json_is_an_error_of_ours(manifest, config):
    with pytest.raises(CloudDeployError):
        Shelf(manifest, config).base()


@given(st.sampled_from(["config", "history", "rootfs", "architecture", "os", "created"]), JSON)
def test_a_base_configuration_of_whatever_json_is_used_or_an_error_of_ours(key, value):
    layer = {"mediaType": LAYERS["oci"], "digest": "sha256:" + "1" * 64, "size": 3}
    manifest = {"schemaVersion": 2, "layers": [layer], "config": "right"}
    config = {**json.loads(base_config("arm64", ["sha256:" + "2" * 64])), key: value}
    try:
        base = Shelf(manifest, config).base()
    except CloudDeployError:
        return
    image = ImageArtifact(base, (), cmd=("serve",), env={"A": "1"})
    made = document(config_of(image, []), "ours")
    assert made["config"]["Cmd"] == ["serve"]
    assert "A=1" in made["config"]["Env"]
    assert document(manifest_of(image, Descriptor("c", "d", 1), []), "ours")["layers"] == [layer]


@given(st.lists(st.text('Basicearer realm=",\\ x', max_size=60), max_size=3))
def test_any_challenge_is_read_without_a_crash(headers):
    for parameters in challenges(headers).values():
        assert all(key == key.lower() for key in parameters)


@given(st.text(max_size=60) | st.text("abc.:/@-_", max_size=30))
def test_any_name_is_read_or_an_error_of_ours_and_reads_back(text):
    try:
        found = Reference.parse(text)
    except CloudDeployError:
        return
    assert Reference.parse(str(found)) == found
