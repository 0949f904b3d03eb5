"""Stacks of one embedded cloud, and how a test waits for them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.emulator.conftest import Rig

ENDINGS = ("_COMPLETE", "_FAILED")
CAPABILITIES = ["CAPABILITY_NAMED_IAM"]


@dataclass
class Clerk:
    """Makes stacks, and looks at what became of them."""

    rig: Rig

    def __post_init__(self) -> None:
        self.api = self.rig.client("cloudformation")

    def make(self, resources: dict[str, Any] | None = None, **more: Any) -> str:
        """A new stack's name, once nothing goes on with it."""
        name = self.rig.fresh("stack")
        self.api.create_stack(StackName=name, **wish(resources, **more))
        self.settled(name)
        return name

    def change(self, name: str, resources: dict[str, Any] | None = None, **more: Any) -> str:
        """Update a stack; its status afterwards."""
        self.api.update_stack(StackName=name, **wish(resources, **more))
        return self.settled(name)

    def remove(self, name: str) -> str:
        """Delete a stack; its status afterwards."""
        identity = self.stack(name)["StackId"]
        self.api.delete_stack(StackName=name)
        return self.settled(identity)

    def stack(self, name: str) -> dict[str, Any]:
        """A stack as it is described."""
        found: dict[str, Any] = self.api.describe_stacks(StackName=name)["Stacks"][0]
        return found

    def settled(self, name: str) -> str:
        """Wait until nothing goes on; the status."""
        end = time.monotonic() + 30
        while time.monotonic() < end:
            status = str(self.stack(name)["StackStatus"])
            if status.endswith(ENDINGS) and "IN_PROGRESS" not in status:
                return status
            time.sleep(0.02)
        raise AssertionError(f"{name} does not settle: {self.stack(name)}")

    def outputs(self, name: str) -> dict[str, str]:
        """A stack's outputs."""
        return {o["OutputKey"]: o["OutputValue"] for o in self.stack(name).get("Outputs", ())}

    def parts(self, name: str) -> dict[str, str]:
        """The physical ids of a stack's resources."""
        found = self.api.describe_stack_resources(StackName=name)["StackResources"]
        return {p["LogicalResourceId"]: p["PhysicalResourceId"] for p in found}

    def history(self, name: str) -> list[tuple[str, str]]:
        """A stack's events, oldest first: logical id (``-`` for the stack itself) and status."""
        found = self.api.describe_stack_events(StackName=name)["StackEvents"]
        own = found[0]["StackName"]
        return [
            ("-" if e["LogicalResourceId"] == own else e["LogicalResourceId"], e["ResourceStatus"])
            for e in reversed(found)
        ]

    def reasons(self, name: str) -> str:
        """Why something of a stack failed, all in one."""
        found = self.api.describe_stack_events(StackName=name)["StackEvents"]
        return "\n".join(e.get("ResourceStatusReason", "") for e in found)


def wish(resources: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """A stack's template and what goes with it; template sections by their names."""
    sections = ("Parameters", "Conditions", "Mappings", "Outputs", "Description")
    template = {
        "Resources": resources or {"Group": group()},
        **{k: more.pop(k) for k in sections if k in more},
    }
    given = [{"ParameterKey": k, "ParameterValue": v} for k, v in more.pop("given", {}).items()]
    return {"TemplateBody": json.dumps(template), "Parameters": given, "Capabilities": CAPABILITIES, **more}


def group(**properties: Any) -> dict[str, Any]:
    """A log group, the resource that takes least."""
    return {"Type": "AWS::Logs::LogGroup", "Properties": properties}


def output(value: Any, export: Any = None) -> dict[str, Any]:
    """An output, exported by a name if there is one."""
    return {"Value": value, **({"Export": {"Name": export}} if export else {})}


@pytest.fixture(scope="module")
def clerk(rig: Rig) -> Iterator[Clerk]:
    """Stacks of the worker's cloud."""
    return Clerk(rig)
