"""Weights in Cloud Storage: one generation, verified, whole or not at all."""

from __future__ import annotations

import io
import json
import tarfile
from hashlib import sha256
from pathlib import Path

import pytest

from clouddeploy.runtime import LoadError
from clouddeploy.runtime.cloud_function import start
from clouddeploy.runtime.cloud_function.storage import Object, Storage, StorageError
from tests.unit.runtime_cloud_function.conftest import Request, environ
from tests.unit.runtime_cloud_function.google import Google, Stored
from tests.unit.runtime_function.conftest import MakePackage

URI = "gs://models/digits/weights#7"


def without_weights(root: Path, form: str = "file") -> bytes:
    """Take the weights out of the package in `root`, and describe them there; their bytes."""
    path = root / "model" / "weights.npy"
    body = path.read_bytes()
    path.unlink()
    row = {"name": "weights.npy", "size": len(body), "sha256": sha256(body).hexdigest()}
    facts = {"version": 1, "object": "models/x", "form": form, "files": [row]}
    (root / "clouddeploy-model.json").write_text(json.dumps(facts))
    return body


def packed(**files: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, body in files.items():
            entry = tarfile.TarInfo(name.replace("__", "/").replace("_", "."))
            entry.size = len(body)
            archive.addfile(entry, io.BytesIO(body))
    return out.getvalue()


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    found = tmp_path / "cache"
    found.mkdir()
    return found


def kept(cache: Path) -> list[Path]:
    folder = cache / "clouddeploy-models"
    return list(folder.iterdir()) if folder.is_dir() else []


def test_the_weights_are_downloaded_once_by_generation_and_with_a_token(
    package: MakePackage, google: Google, cache: Path
) -> None:
    root = package()
    google.objects["models", "digits/weights"] = Stored(without_weights(root))
    variables = environ(google, cache, CLOUDDEPLOY_MODEL=URI)
    assert start(root, variables)(Request())[0] == b'{"predictions":[[2.0,4.0]]}'
    assert google.tokens == ["Bearer token-1"]
    (folder,) = kept(cache)
    assert sorted(path.name for path in folder.iterdir()) == ["clouddeploy.json", "weights.npy"]
    google.objects.clear()
    assert start(root, variables)(Request())[1] == 200


def test_several_files_come_as_an_archive_of_which_only_what_is_named_is_kept(
    package: MakePackage, google: Google, cache: Path
) -> None:
    root = package()
    body = without_weights(root, "tar.gz")
    google.objects["models", "digits/weights"] = Stored(
        packed(weights_npy=body, code__app__numpy_py=b"raise SystemExit", clouddeploy_json=b"{}")
    )
    start(root, environ(google, cache, CLOUDDEPLOY_MODEL=URI))
    (folder,) = kept(cache)
    assert sorted(path.name for path in folder.rglob("*")) == ["clouddeploy.json", "weights.npy"]
    assert json.loads((folder / "clouddeploy.json").read_text())["model"] == "a" * 64


def test_a_connection_that_breaks_and_passing_faults_are_tried_again(
    package: MakePackage, google: Google, cache: Path
) -> None:
    root = package()
    google.objects["models", "digits/weights"] = Stored(without_weights(root))
    google.faults = [0, 503]
    assert start(root, environ(google, cache, CLOUDDEPLOY_MODEL=URI))(Request())[1] == 200
    assert google.tokens == ["Bearer token-1"]


@pytest.mark.parametrize(
    ("stored", "faults", "said"),
    [
        (Stored(b"other"), [], "is not the model of this package: 'weights.npy' has 5 bytes"),
        (Stored(b"other", generation="8"), [], "that generation of it is gone: deploy again"),
        (Stored(b"other"), [403], r"roles/storage.objectViewer"),
    ],
)
def test_another_object_none_and_a_refusal_are_clear_errors_that_leave_nothing(
    stored: Stored,
    faults: list[int],
    said: str,
    package: MakePackage,
    google: Google,
    cache: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = package()
    without_weights(root)
    google.objects["models", "digits/weights"] = stored
    google.faults = faults
    with pytest.raises(LoadError, match=said):
        start(root, environ(google, cache, CLOUDDEPLOY_MODEL=URI))
    assert kept(cache) == []
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert line["severity"] == "ERROR"
    assert line["message"].startswith("the function can't start: ")


@pytest.mark.parametrize("uri", ["", "gs://models/digits/weights", "s3://models/x#7", "gs://models/#7"])
def test_where_the_weights_are_must_be_told_with_a_generation(
    uri: str, package: MakePackage, google: Google, cache: Path
) -> None:
    root = package()
    without_weights(root)
    with pytest.raises(LoadError, match=r"gs://bucket/object#generation"):
        start(root, environ(google, cache, CLOUDDEPLOY_MODEL=uri))


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"version":9,"form":"file","files":[]}', '{"version":1,"form":"zip","files":[]}'],
)
def test_a_description_that_is_none_is_refused(
    text: str, package: MakePackage, google: Google, cache: Path
) -> None:
    root = package()
    (root / "clouddeploy-model.json").write_text(text)
    with pytest.raises(LoadError, match=r"clouddeploy-model\.json"):
        start(root, environ(google, cache, CLOUDDEPLOY_MODEL=URI))


def test_a_server_that_is_not_there_is_told_after_a_few_attempts() -> None:
    storage = Storage("http://127.0.0.1:9", delay_s=0, attempts=3)
    with pytest.raises(StorageError, match=r"gs://b/o can't be read: URLError: .*refused"):
        storage.read(Object("b", "o"), lambda stream: stream.read())


def test_an_emulator_without_a_metadata_server_is_called_without_a_token(
    package: MakePackage, google: Google, cache: Path
) -> None:
    root = package()
    google.objects["models", "digits/weights"] = Stored(without_weights(root))
    variables = environ(google, cache, CLOUDDEPLOY_MODEL=URI)
    del variables["GCE_METADATA_HOST"]
    start(root, variables)
    assert google.tokens == [""]


def test_weights_are_downloaded_before_the_worker_is_forked_even_where_it_loads_them(
    package: MakePackage, google: Google, cache: Path
) -> None:
    root = package()
    google.objects["models", "digits/weights"] = Stored(without_weights(root))
    variables = environ(google, cache, CLOUDDEPLOY_MODEL=URI, CLOUDDEPLOY_THREADS="2")
    function = start(root, variables)
    google.objects.clear()
    assert function(Request())[1] == 200
