"""Clients and bench with clouddeploy's own server, as a process."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clouddeploy import errors
from clouddeploy.model import Model
from clouddeploy.packaging.sagemaker import sagemaker_artifact
from clouddeploy.testing.models import linear_model
from tests.unit.cli.fake_deployer import cli

pytest.importorskip("httptools")
EXPECTED = np.arange(12, dtype=np.float32).reshape(4, 3) / np.float32(7)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("served")
    linear_model(folder / "model")
    weights, handler = folder / "model" / "weights-1", folder / "model" / "handler.py"
    model = Model.from_folder(weights, handler=handler, example_input=np.ones((2, 4), dtype=np.float32))
    sagemaker_artifact(model, compression="none").write(folder / "served")
    command = [sys.executable, "-m", "clouddeploy.server", str(folder / "served"), "--set", "port=0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        found = None
        for line in process.stderr:
            found = re.search(r"serving at (http://\S+)", line)
            if found:
                break
        assert found
        yield found[1]
        process.terminate()
        process.stderr.read()


@pytest.mark.parametrize("model", [None, "model"])
def test_predictions_are_those_of_the_model(connect: Any, url: str, model: str | None) -> None:
    client = connect(url, model=model)
    found = client.predict(np.eye(4, dtype=np.float32))
    assert found.dtype == np.float32
    assert np.array_equal(found, EXPECTED)
    assert client.ready()


def test_a_wrong_input_is_refused_by_its_kind(connect: Any, url: str) -> None:
    with pytest.raises(errors.CloudDeployError):
        connect(url).predict([["a", "b", "c", "d"]])
    with pytest.raises(errors.NotFound):
        connect(url, model="unknown").predict([[1, 2, 3, 4]])


def test_bench_finds_out_by_itself_what_to_send(url: str, tmp_path: Path) -> None:
    flags = ["--rate", "100", "--duration", "300ms", "--warm-up", "100ms", "--connections", "4"]
    done = cli("bench", url, *flags, "--plot", "out.svg", folder=tmp_path)
    assert done.code == 0, done.err
    assert "30 requests (200: 30)" in done.out
    assert (tmp_path / "out.svg").read_text().startswith("<svg")
