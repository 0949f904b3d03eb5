"""Where and when the model is loaded and warmed up."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clouddeploy.runtime import LoadError
from clouddeploy.runtime.cloud_function import start
from clouddeploy.runtime.cloud_function.forking import Loading
from clouddeploy.runtime.cloud_function.metadata import Metadata
from clouddeploy.runtime.cloud_function.warming import warm
from clouddeploy.runtime.function.guarded import GuardedService
from clouddeploy.runtime.signature import Signature, Tensor
from tests.unit.runtime_cloud_function.conftest import Request, environ
from tests.unit.runtime_cloud_function.google import Google
from tests.unit.runtime_function.conftest import MakePackage


def told(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [json.loads(line)["message"] for line in capsys.readouterr().out.splitlines()]


def test_the_model_is_loaded_while_the_entry_is_imported(
    package: MakePackage, capsys: pytest.CaptureFixture[str]
) -> None:
    variables = {"OMP_NUM_THREADS": "8"}
    start(package(), variables)
    assert told(capsys) == ["the model is loaded"]
    assert variables == {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def test_with_more_threads_it_is_loaded_once_at_the_first_use(
    package: MakePackage, capsys: pytest.CaptureFixture[str]
) -> None:
    variables = {"CLOUDDEPLOY_THREADS": "2"}
    function = start(package(), variables)
    assert (variables["OMP_NUM_THREADS"], variables["MKL_NUM_THREADS"]) == ("2", "2")
    assert told(capsys) == ["the model is loaded in the worker, for 2 threads"]
    assert function(Request())[1] == function(Request())[1] == 200
    assert told(capsys)[0] == "the model is loaded"


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"CLOUDDEPLOY_THREADS": "many"}, "CLOUDDEPLOY_THREADS is 'many', no whole number"),
        ({"CLOUDDEPLOY_CORS_ORIGINS": "example.com"}, "CLOUDDEPLOY_CORS_ORIGINS"),
        ({"CLOUDDEPLOY_OUTPUT": "s3://x"}, r"CLOUDDEPLOY_OUTPUT is 's3://x'; expected gs://bucket/prefix"),
    ],
)
def test_a_setting_that_can_not_be_understood_ends_the_start_and_is_on_the_log(
    variables: dict[str, str], said: str, package: MakePackage, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(LoadError, match=said):
        start(package(), dict(variables))
    assert told(capsys)[0].startswith("the function can't start: ")


def test_a_model_on_a_mounted_folder_is_taken_from_there(package: MakePackage, tmp_path: Path) -> None:
    root = package()
    (root / "model").rename(tmp_path / "mounted")
    function = start(root, {"CLOUDDEPLOY_MODEL_DIR": str(tmp_path / "mounted")})
    assert function(Request())[1] == 200


def test_a_forked_process_that_can_not_load_the_model_ends_with_the_status_that_ends_gunicorn() -> None:
    def load() -> GuardedService:
        raise LoadError("no")

    child = os.fork()
    if child == 0:
        Loading(load).begin(lambda service: None)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3


def test_the_project_is_asked_of_the_metadata_server_on_the_platform_alone(
    package: MakePackage, google: Google, capsys: pytest.CaptureFixture[str]
) -> None:
    start(package(), environ(google))
    assert google.calls == []
    function = start(package(), environ(google, None, K_SERVICE="digits"))
    function(Request(given={"X-Cloud-Trace-Context": "a" * 32}))
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert line["logging.googleapis.com/trace"] == f"projects/project-1/traces/{'a' * 32}"


def test_a_token_is_asked_for_once_as_long_as_it_is_good(google: Google) -> None:
    metadata = Metadata(google.host)
    assert {metadata.token() for _ in range(3)} == {"token-1"}
    metadata._good_until = 0
    assert metadata.token() == "token-2"
    assert Metadata("127.0.0.1:9").project() == ""


class Model:
    """A model that remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def __call__(self, inputs: Any) -> Any:
        self.asked.append(inputs)
        return np.zeros(len(next(iter(inputs.values()))))


def service(model: Any, *tensors: Tensor, steady: bool = True) -> GuardedService:
    found = GuardedService(model, Signature(tensors))
    found.steady = steady
    return found


def test_a_model_is_warmed_up_with_one_example_of_zeros() -> None:
    model, told_of = Model(), list[Exception]()
    tensors = (Tensor("a", "float32", (None, 3)), Tensor("b", "int64", (None, None)))
    warm(service(model, *tensors), told_of.append)
    ((asked),) = model.asked
    assert {name: (str(array.dtype), array.shape) for name, array in asked.items()} == {
        "a": ("float32", (1, 3)),
        "b": ("int64", (1, 1)),
    }
    assert told_of == []


def test_what_can_not_be_known_is_not_warmed_up() -> None:
    model = Model()
    x = Tensor("x", "float32", (None, 3))
    for one in (service(model, x, steady=False), service(model), service(model, Tensor("x", "str", (None,)))):
        warm(one, lambda error: None)
    assert model.asked == []


def test_a_model_that_can_not_do_with_zeros_is_told_of_and_nothing_more() -> None:
    def fails(inputs: Any) -> Any:
        raise ZeroDivisionError("zeros")

    told_of: list[Exception] = []
    warm(service(fails, Tensor("x", "float32", (None, 3))), told_of.append)
    assert [str(error) for error in told_of] == ["zeros"]
