"""Intrinsic functions and pseudo parameters ("Intrinsic function reference", CloudFormation User Guide)."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from clouddeploy.emulator.call import Refused
from clouddeploy.emulator.cloudformation.references import SUBSTITUTED, attribute, substitution

NOTHING = object()  # what AWS::NoValue stands for: the property is left out


@dataclass(frozen=True)
class Scope:
    """Where a template's names get their values from.

    Args:
        parameters: values of parameters and pseudo parameters.
        mappings: the template's Mappings.
        conditions: the template's Conditions.
        physical_id: a resource's Ref, by logical id.
        attribute: a resource's attribute, by logical id and name.
        exported: an export's value, by name.
    """

    parameters: Mapping[str, Any]
    mappings: Mapping[str, Any]
    conditions: Mapping[str, Any]
    physical_id: Callable[[str], str]
    attribute: Callable[[str, str], Any]
    exported: Callable[[str], Any]
    _known: dict[str, bool] = field(default_factory=dict)

    def resolve(self, value: Any) -> Any:
        """`value` with every function called.

        Raises:
            Refused: one is unknown, or can't be called so.
        """
        if isinstance(value, list):
            items = [self.resolve(item) for item in value]
            return [item for item in items if item is not NOTHING]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            name, argument = next(iter(value.items()))
            if name == "Ref" or name.startswith("Fn::"):
                return self._call(name, argument)
        members = {key: self.resolve(item) for key, item in value.items()}
        return {key: item for key, item in members.items() if item is not NOTHING}

    def holds(self, condition: str) -> bool:
        """Whether a condition of the template is true."""
        if condition not in self.conditions:
            raise _wrong(f"unresolved condition dependency {condition}")
        if condition not in self._known:
            self._known[condition] = self._true(self.conditions[condition])
        return self._known[condition]

    def _true(self, rule: Any) -> bool:
        name, argument = next(iter(rule.items()))
        if name == "Condition":
            return self.holds(argument)
        if name == "Fn::Equals":
            left, right = (self.resolve(item) for item in argument)
            return text(left) == text(right)
        if name == "Fn::Not":
            return not self._true(argument[0])
        if name in ("Fn::And", "Fn::Or"):
            return (all if name == "Fn::And" else any)(self._true(item) for item in argument)
        raise _wrong(f"{name} is no condition function")

    def _call(self, name: str, argument: Any) -> Any:
        if name == "Ref":
            return self._ref(argument)
        if name == "Fn::GetAtt":
            logical_id, wanted = attribute(argument)
            return self.attribute(logical_id, str(self.resolve(wanted)))
        if name == "Fn::Sub":
            return self._sub(*substitution(argument))
        if name == "Fn::If":
            condition, yes, no = argument
            return self.resolve(yes if self.holds(condition) else no)
        function = FUNCTIONS.get(name)
        if function is None:
            raise _wrong(f"the embedded cloud doesn't know {name}")
        try:
            return function(self, self.resolve(argument))
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise _wrong(f"{name} can't be called with {json.dumps(argument)[:200]}: {error!r}") from error

    def _ref(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return NOTHING
        return self.parameters[name] if name in self.parameters else self.physical_id(name)

    def _sub(self, pattern: str, own: dict[str, Any]) -> str:
        values = {key: self.resolve(item) for key, item in own.items()}

        def value(match: Any) -> str:
            name = match[1].strip()
            if name in values:
                return text(values[name])
            return text(self._call("Fn::GetAtt", name) if "." in name else self._ref(name))

        return SUBSTITUTED.sub(value, pattern).replace("${!", "${")


def text(value: Any) -> str:
    """A value as CloudFormation joins it into text."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _mapped(scope: Scope, argument: Any) -> Any:
    name, top, second = argument[:3]
    return scope.mappings[name][text(top)][text(second)]


FUNCTIONS: Mapping[str, Callable[[Scope, Any], Any]] = {
    "Fn::Base64": lambda _, a: base64.b64encode(text(a).encode()).decode(),
    "Fn::FindInMap": _mapped,
    "Fn::GetAZs": lambda s, a: [f"{a or s.parameters['AWS::Region']}{zone}" for zone in "abc"],
    "Fn::ImportValue": lambda s, a: s.exported(text(a)),
    "Fn::Join": lambda _, a: str(a[0]).join(text(item) for item in a[1]),
    "Fn::Length": lambda _, a: len(a),
    "Fn::Select": lambda _, a: a[1][int(a[0])],
    "Fn::Split": lambda _, a: text(a[1]).split(a[0]),
    "Fn::ToJsonString": lambda _, a: json.dumps(a, separators=(",", ":")),
}


def _wrong(message: str) -> Refused:
    return Refused(f"Template error: {message}", code="ValidationError")
