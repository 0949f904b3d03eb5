"""Processes without a function: ended, or kept for the next one of the same content."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from tests.emulator.functions.conftest import Functions, packed

PID = "import os\ndef go(event, context):\n    return os.getpid()\n"


def again(functions: Functions, name: str, code: str = PID) -> None:
    """Remove a function and make it anew."""
    given = functions.api.get_function_configuration(FunctionName=name)
    functions.api.delete_function(FunctionName=name)
    kept = ("Runtime", "Handler", "Role", "Architectures", "MemorySize", "Timeout")
    functions.api.create_function(
        FunctionName=name, Code={"ZipFile": packed({"app.py": code})}, **{k: given[k] for k in kept}
    )


def test_a_function_of_the_same_content_takes_over_the_process_of_one_that_is_gone(
    functions: Functions,
) -> None:
    name = functions.make(PID)
    first = functions.ask(name)
    again(functions, name)
    second = functions.ask(name)
    assert second.body == first.body
    assert "INIT_START" not in second.log
    again(functions, name, PID + "\n")
    assert functions.ask(name).body != first.body


def test_versions_of_one_content_share_it_one_after_the_other(functions: Functions) -> None:
    name = functions.make(PID)
    functions.publish(name)
    first = functions.ask(name, Qualifier="1").body
    functions.api.update_function_configuration(FunctionName=name, Description="another")
    assert functions.publish(name) == "2"
    assert functions.ask(name, Qualifier="2").body != first
    functions.api.delete_function(FunctionName=name, Qualifier="1")
    functions.api.update_function_configuration(FunctionName=name, Description="a third")
    assert functions.publish(name) == "3"
    assert functions.ask(name, Qualifier="3").body == first


def test_none_is_kept_unless_asked_for(functions: Functions, settings: Callable[..., None]) -> None:
    settings(keep_unused_s=0)
    name = functions.make(PID)
    first = functions.ask(name).body
    again(functions, name)
    assert functions.ask(name).body != first


def test_what_was_kept_long_enough_ends(functions: Functions, settings: Callable[..., None]) -> None:
    settings(keep_unused_s=0.1)
    name = functions.make("import os\ndef go(event, context):\n    return os.getpid()\n\n\n")
    pid = functions.ask(name).body
    functions.api.delete_function(FunctionName=name)
    deadline = time.monotonic() + 10
    while _alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
