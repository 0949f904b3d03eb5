"""moto's models of CloudFormation's resource types."""

from __future__ import annotations

from typing import Any


def model_of(name: str) -> Any:
    """moto's class for a type such as ``AWS::SQS::Queue``, or None. The first call imports all of moto."""
    from moto.cloudformation.parsing import get_model_map

    return get_model_map().get(name)
