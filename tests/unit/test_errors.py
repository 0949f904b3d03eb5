"""Errors say what happened, why, and how to mend it."""

from __future__ import annotations

import inspect
import pickle

import pytest

from clouddeploy import errors
from clouddeploy.errors import CloudDeployError, DeployFailed, InputError, LeftBehind, NotFound, SpecError

CLASSES = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, CloudDeployError)]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda c: c.__name__)
def test_the_tree_in_the_docstring_names_every_error_with_its_exit_code(kind: type[CloudDeployError]) -> None:
    assert kind.__name__ in (errors.__doc__ or "")
    if "exit_code" in vars(kind):
        (line,) = [row for row in (errors.__doc__ or "").splitlines() if f" {kind.__name__} " in f" {row} "]
        assert f" {kind.exit_code} " in f"{line} "


def test_an_error_prints_what_why_and_fix() -> None:
    error = SpecError("min is 3", why="max is 1", fix="set max to 3")
    assert str(error) == "min is 3\n  why: max is 1\n  fix: set max to 3"
    assert error.as_dict()["error"] == {
        "code": "SpecError",
        "message": "min is 3",
        "why": "max is 1",
        "fix": "set max to 3",
        "exit_code": 2,
    }


def test_errors_are_also_the_fitting_builtin() -> None:
    assert issubclass(NotFound, LookupError)
    assert issubclass(SpecError, ValueError)
    assert issubclass(errors.CredentialsError, PermissionError)
    assert issubclass(errors.Timeout, TimeoutError)


def test_a_failed_deploy_tells_what_was_undone_and_the_last_log_lines() -> None:
    error = DeployFailed("it failed", undone=["model a", "role b"], log_tail=["Traceback", "ValueError: x"])
    assert "undone: model a; role b" in str(error)
    assert "    ValueError: x" in str(error)


def test_what_is_left_behind_is_listed_with_the_command_that_removes_it() -> None:
    error = LeftBehind("it failed", left=[("role/x", "aws iam delete-role --role-name x")])
    assert "role/x\n      remove it with: aws iam delete-role --role-name x" in str(error)


def test_an_input_error_survives_a_process_boundary() -> None:
    error = InputError("wrong shape", code="bad_shape", status=400)
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.code, again.status) == (str(error), "bad_shape", 400)
