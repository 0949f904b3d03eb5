"""A template as it was submitted: read, and checked as ValidateTemplate does.

"Template anatomy" and "Template format error" messages: AWS CloudFormation User Guide. Only the format is
checked; whether a property's value is right shows when the resource is made, as on AWS.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from typing import Any

from clouddeploy.emulator.call import Refused
from clouddeploy.emulator.cloudformation.references import references

SECTIONS = frozenset({
    "AWSTemplateFormatVersion", "Conditions", "Description", "Hooks", "Mappings", "Metadata", "Outputs",
    "Parameters", "Resources", "Rules", "Transform",
})  # fmt: skip
BODY_LIMIT = 51_200  # "AWS CloudFormation quotas": a template in the request
OBJECT_LIMIT = 1_048_576  # and one in S3


@dataclass(frozen=True)
class Template:
    """One template.

    Args:
        text: as submitted.
        content: the object that it stands for.
    """

    text: str
    content: Mapping[str, Any]

    @cached_property
    def resources(self) -> Mapping[str, Mapping[str, Any]]:
        """Its resources by logical id."""
        found: Mapping[str, Mapping[str, Any]] = self.content["Resources"]
        return found

    @cached_property
    def parameters(self) -> Mapping[str, Mapping[str, Any]]:
        """What it declares under Parameters."""
        return self.content.get("Parameters") or {}

    @cached_property
    def outputs(self) -> Mapping[str, Mapping[str, Any]]:
        """What it declares under Outputs."""
        return self.content.get("Outputs") or {}

    def needs(self, logical_id: str) -> frozenset[str]:
        """The resources that must exist before this one: those it refers to, and DependsOn."""
        resource = self.resources[logical_id]
        depends = resource.get("DependsOn") or ()
        named = {depends} if isinstance(depends, str) else set(depends)
        return frozenset((references(resource.get("Properties")) | named) & set(self.resources))

    @cached_property
    def order(self) -> tuple[str, ...]:
        """The logical ids, each after what it needs."""
        graph = {name: sorted(self.needs(name)) for name in self.resources}
        return tuple(TopologicalSorter(graph).static_order())


def parse(text: str) -> Template:
    """The template that `text` is, in JSON or YAML.

    Raises:
        Refused: it is none.
    """
    try:
        content = json.loads(text)
    except ValueError:
        content = _yaml(text)
    if not isinstance(content, dict):
        raise _format("unsupported structure.")
    if unknown := sorted(set(content) - SECTIONS):
        raise _invalid(f"Invalid template property or properties [{', '.join(unknown)}]")
    template = Template(text, content)
    try:
        problem = next(_problems(template), None)
    except (AttributeError, TypeError, ValueError) as error:
        raise _format(f"a function or a section is malformed: {error}") from error
    if problem is not None:
        raise problem
    return template


def _problems(template: Template) -> Iterator[Refused]:
    content = template.content
    resources = content.get("Resources")
    if not isinstance(resources, dict) or not resources:
        yield _format("At least one Resources member must be defined.")
        return
    if "Transform" in content:
        yield _invalid("The embedded cloud runs no macros: Transform can't be used")
    for name, resource in resources.items():
        if not isinstance(resource, dict) or not isinstance(resource.get("Type"), str):
            yield _format(f"[/Resources/{name}] Every Resources object must contain a Type member.")
            return
    known = {*resources, *template.parameters}
    for block in ("Resources", "Outputs"):
        lacking = sorted(_named(content.get(block)) - known)
        if lacking:
            where = f"in the {block} block of the template"
            yield _format(f"Unresolved resource dependencies [{', '.join(lacking)}] {where}")
    try:
        _ = template.order
    except CycleError as error:
        cycle = ", ".join(dict.fromkeys(error.args[1]))
        yield _invalid(f"Circular dependency between resources: [{cycle}]")


def _named(block: Any) -> set[str]:
    depends = (r.get("DependsOn") or () for r in (block or {}).values() if isinstance(r, dict))
    named = {n for d in depends for n in ([d] if isinstance(d, str) else d)}
    return {n for n in references(block) | named if not n.startswith("AWS::")}


def _yaml(text: str) -> Any:
    yaml: Any = import_module("yaml")  # comes with moto; it has no types
    loader: Any = type("Loader", (yaml.SafeLoader,), {})

    def short(reader: Any, suffix: str, node: Any) -> dict[str, Any]:
        if isinstance(node, yaml.ScalarNode):
            value: Any = reader.construct_scalar(node)
        elif isinstance(node, yaml.SequenceNode):
            value = reader.construct_sequence(node, deep=True)
        else:
            value = reader.construct_mapping(node, deep=True)
        if suffix == "GetAtt" and isinstance(value, str):
            value = value.split(".", 1)
        return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}

    loader.add_multi_constructor("!", short)
    # Dates stay text, as AWSTemplateFormatVersion and policy versions are.
    loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    try:
        return yaml.load(text, loader)
    except yaml.YAMLError as error:
        raise _format(f"YAML not well-formed. {error}") from error


def _format(message: str) -> Refused:
    return _invalid(f"Template format error: {message}")


def _invalid(message: str) -> Refused:
    return Refused(message, code="ValidationError")
