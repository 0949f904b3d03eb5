"""Two versions with modules of the same names in one process."""

from __future__ import annotations

import gc
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest

from clouddeploy.runtime.service import Service
from clouddeploy.server.models import loading
from clouddeploy.server.models.importing import Scope
from clouddeploy.server.settings import ServerSettings
from clouddeploy.testing.served import write_model

LATE = """\
import importlib
import sys

from package import part


def predict(inputs):
    from package import late
    import factor as f
    by_name = importlib.import_module("factor")
    again = importlib.import_module("package.late")
    assert by_name is f and again is late
    return inputs * 0 + f.FACTOR * 100 + late.number() * 10 + part.NUMBER
"""


def make(folder: Path, number: int) -> Path:
    write_model(folder, number, handler=LATE)
    package = folder / "code" / "app" / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "part.py").write_text(f"NUMBER = {number}\n")
    (package / "late.py").write_text("def number():\n    from . import part\n    return part.NUMBER\n")
    return folder


def load(folder: Path) -> Service:
    with Scope(folder / "code" / "app").entered():
        return Service.load(folder)


def predicted(service: Service) -> float:
    return float(service.call(np.zeros((1, 2), np.float32))[0, 0])


def test_each_version_finds_its_own_modules_early_and_late(tmp_path: Path) -> None:
    path, handler = list(sys.path), sys.modules.get("_clouddeploy_app_handler")
    services = [load(make(tmp_path / str(number), number)) for number in (1, 2, 3)]
    for _ in range(2):
        assert [predicted(service) for service in services] == [111, 222, 333]
    assert sys.path == path
    assert not {"factor", "package", "package.late"} & set(sys.modules)
    assert sys.modules.get("_clouddeploy_app_handler") is handler


def test_a_folder_that_was_replaced_doesnt_change_what_was_loaded_from_it(tmp_path: Path) -> None:
    settings = ServerSettings(run_folder=tmp_path / "run")
    settings.run_folder.mkdir()
    one = loading.load("m", "1", make(tmp_path / "a", 1), settings, alone=False)
    (tmp_path / "a").rename(tmp_path / "old")
    two = loading.load("m", "1", make(tmp_path / "a", 2), settings, alone=False)
    assert [predicted(two.service), predicted(one.service)] == [222, 111]
    del one, two
    gc.collect()
    assert list(settings.run_folder.iterdir()) == []


def test_a_module_of_the_process_is_put_back(tmp_path: Path) -> None:
    import json

    folder = write_model(
        tmp_path / "1", 1, handler="import json\n\ndef predict(x):\n    return x * json.MINE\n"
    )
    (folder / "code" / "app" / "json.py").write_text("MINE = 5\n")
    (folder / "clouddeploy.json").write_text(
        (folder / "clouddeploy.json").read_text().replace("release-1", "r")
    )
    service = load(folder)
    assert sys.modules["json"] is json
    assert service.call(np.ones((1, 2), np.float32)).tolist() == [[5, 5]]


def test_a_version_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "1", 1, handler="import factor\nraise ValueError('no')\n")
    path = list(sys.path)
    with pytest.raises(Exception, match="no"):
        load(folder)
    assert sys.path == path
    assert "factor" not in sys.modules


def test_what_is_dropped_is_freed(tmp_path: Path) -> None:
    service = load(make(tmp_path / "1", 1))
    predicted(service)
    handler = weakref.ref(service._predict)
    del service
    gc.collect()
    assert handler() is None
