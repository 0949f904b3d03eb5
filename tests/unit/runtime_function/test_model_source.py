from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clouddeploy.runtime import LoadError
from clouddeploy.runtime.function import start
from clouddeploy.runtime.function.model_source import find
from clouddeploy.runtime.function.s3_model import digest
from tests.unit.runtime_function.conftest import MakePackage


@pytest.fixture(scope="module")
def s3_url() -> Iterator[str]:
    """An S3 on loopback."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def client(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client of it, and the environment that boto3 reads in a function."""
    import boto3

    for name, value in {
        "AWS_ENDPOINT_URL": s3_url,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    found = boto3.client("s3")
    found.create_bucket(Bucket="models")
    return found


def put(client: Any, folder: Path, prefix: str) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            client.upload_file(str(path), "models", f"{prefix}/{path.relative_to(folder).as_posix()}")


def archive(folder: Path) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, path.name)
    return out.getvalue()


def environ(uri: str, sha256: str, cache: Path) -> dict[str, str]:
    return {
        "CLOUDDEPLOY_MODEL_URI": uri,
        "CLOUDDEPLOY_MODEL_SHA256": sha256,
        "CLOUDDEPLOY_CACHE_DIR": str(cache),
    }


def serves(root: Path, variables: dict[str, str]) -> bool:
    found: dict[str, Any] = start(root, variables)({"input": [1, 2]})
    return found == {"prediction": [2.0, 4.0]}


def test_the_digest_is_what_the_shell_gives(package: MakePackage) -> None:
    folder = package() / "model"
    (folder / "sub").mkdir()
    (folder / "sub" / "z").write_text("z")
    (folder / "sub.a").write_text("a")
    command = r"find . -type f -printf '%P\n' | LC_ALL=C sort | xargs sha256sum | sha256sum"
    shell = subprocess.run(command, shell=True, cwd=folder, capture_output=True, text=True, check=True)
    assert digest(folder) == shell.stdout.split()[0]


def test_a_model_on_a_mounted_path_is_served_from_there(package: MakePackage, tmp_path: Path) -> None:
    root = package()
    shutil.move(root / "model", tmp_path / "mounted")
    assert serves(root, {"CLOUDDEPLOY_MODEL_DIR": str(tmp_path / "mounted")})


def test_a_folder_in_s3_is_fetched_once_and_kept(client: Any, package: MakePackage, tmp_path: Path) -> None:
    root = package()
    folder = root / "model"
    (folder / "sub").mkdir()
    (folder / "sub" / "extra.txt").write_text("x")
    put(client, folder, "digits/v1")
    variables = environ("s3://models/digits/v1/", digest(folder), tmp_path / "cache")
    stale = tmp_path / "cache" / "clouddeploy-models" / f"{digest(folder)}.partial"
    stale.mkdir(parents=True)
    (stale / "half").write_text("of a process that was ended")
    shutil.rmtree(folder)
    assert serves(root, variables)
    client.delete_object(Bucket="models", Key="digits/v1/weights.npy")
    assert serves(root, variables)
    (kept,) = (tmp_path / "cache" / "clouddeploy-models").iterdir()
    assert sorted(path.name for path in kept.rglob("*") if path.is_file()) == [
        "clouddeploy.json",
        "extra.txt",
        "weights.npy",
    ]


def test_an_archive_in_s3_is_unpacked(client: Any, package: MakePackage, tmp_path: Path) -> None:
    from hashlib import sha256

    root = package()
    packed = archive(root / "model")
    client.put_object(Bucket="models", Key="m.tar.gz", Body=packed)
    shutil.rmtree(root / "model")
    assert serves(root, environ("s3://models/m.tar.gz", sha256(packed).hexdigest(), tmp_path / "cache"))


@pytest.mark.parametrize("key", ["wrong/v1", "wrong.tar.gz"])
def test_another_checksum_is_refused_and_nothing_is_kept(
    key: str, client: Any, package: MakePackage, tmp_path: Path
) -> None:
    root = package()
    put(client, root / "model", "wrong/v1")
    client.put_object(Bucket="models", Key="wrong.tar.gz", Body=archive(root / "model"))
    with pytest.raises(LoadError, match=r"has the checksum [0-9a-f]{64}; CLOUDDEPLOY_MODEL_SHA256 says 000"):
        start(root, environ(f"s3://models/{key}", "0" * 64, tmp_path / "cache"))
    assert list((tmp_path / "cache" / "clouddeploy-models").iterdir()) == []


def test_an_archive_that_leads_out_of_its_folder_is_refused(
    client: Any, package: MakePackage, tmp_path: Path
) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo("../../out.txt"))
    client.put_object(Bucket="models", Key="evil.tar.gz", Body=out.getvalue())
    with pytest.raises(LoadError, match="can't be unpacked"):
        find(package(), environ("s3://models/evil.tar.gz", "0" * 64, tmp_path / "cache"))
    client.put_object(Bucket="models", Key="cut.tar.gz", Body=archive(package() / "model")[:100])
    with pytest.raises(LoadError, match="can't be unpacked"):
        find(package(), environ("s3://models/cut.tar.gz", "0" * 64, tmp_path / "cache"))


@pytest.mark.parametrize(
    ("uri", "sha256", "reason"),
    [
        ("s3://models/nothing/here", "0" * 64, "holds no object"),
        ("s3://no-such-bucket/x", "0" * 64, "NoSuchBucket"),
        ("s3://models/nothing.tar.gz", "0" * 64, "NoSuchKey"),
        ("s3://models", "0" * 64, "expected s3://bucket/prefix"),
        ("https://models/x", "0" * 64, "expected s3://bucket/prefix"),
        ("s3://models/x", "", "needs the 64 hex digits"),
        ("s3://models/x", "A" * 64, "needs the 64 hex digits"),
    ],
)
def test_what_is_not_there_is_named(
    uri: str, sha256: str, reason: str, client: Any, package: MakePackage, tmp_path: Path
) -> None:
    with pytest.raises(LoadError, match=reason):
        find(package(), environ(uri, sha256, tmp_path / "cache"))


def test_a_cache_that_cannot_be_written_is_named(client: Any, package: MakePackage, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LoadError, match="can't be written"):
        find(package(), environ("s3://models/x", "0" * 64, tmp_path / "file"))


def test_a_missing_model_is_named_with_where_it_was_sought(package: MakePackage, tmp_path: Path) -> None:
    root = package()
    with pytest.raises(LoadError, match="is the file system mounted there"):
        find(root, {"CLOUDDEPLOY_MODEL_DIR": str(tmp_path / "nowhere")})
    shutil.rmtree(root / "model")
    with pytest.raises(LoadError, match="is it packed"):
        find(root, {})
    with pytest.raises(LoadError, match="keep one of them"):
        find(root, {"CLOUDDEPLOY_MODEL_DIR": "/mnt/model", "CLOUDDEPLOY_MODEL_URI": "s3://a/b"})
