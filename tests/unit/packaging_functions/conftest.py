"""A wheelhouse with what every function needs, and small models."""

from __future__ import annotations

import pytest

from clouddeploy.testing.wheelhouse import Wheelhouse
from tests.unit.packaging_lambda.conftest import folder_model, house  # noqa: F401  # fixtures


@pytest.fixture
def wheels(house: Wheelhouse) -> Wheelhouse:  # noqa: F811
    """The wheelhouse with something small that is called numpy, and so with functions-framework."""
    house.wheel("numpy", "2.0", {"numpy/__init__.py": "array = list\n"})
    house.wheel("flask", "3.1", {"flask.py": ""})
    house.wheel("functions-framework", "3.10.2", {"functions_framework.py": ""}, requires=["flask>=3"])
    return house
