"""How a stack gets from what it is to what it shall be, and back when that fails.

"Update behaviors of stack resources" and "Understanding stack update", CloudFormation User Guide: resources
are made and changed in the order of what they need, an update that replaces one makes the new one first,
and what is no longer wanted goes at last, when all the rest has succeeded.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from clouddeploy.emulator.call import Refused
from clouddeploy.emulator.cloudformation.kinds.kind import Failed, Kind, Site
from clouddeploy.emulator.cloudformation.kinds.table import kind_of
from clouddeploy.emulator.cloudformation.records import Output, Part, Stack, Stacks, Wish
from clouddeploy.emulator.cloudformation.template import Template
from clouddeploy.emulator.cloudformation.values import NOTHING, Scope, text
from clouddeploy.emulator.settings import ACCOUNT

KEPT = frozenset({"Retain", "RetainExceptOnCreate"})
log = logging.getLogger(__name__)


class Work:
    """One change of one stack.

    Args:
        stacks: for exports.
        stack: the stack; its status already tells what goes on.
        site: where its resources are.
    """

    def __init__(self, stacks: Stacks, stack: Stack, site: Site) -> None:
        self._stacks = stacks
        self._stack = stack
        self._site = site
        self._imports: set[str] = set()
        # What was done, last first: the part as it was (None: it wasn't there) and as it is.
        self._done: list[tuple[Part | None, Part]] = []

    def apply(self, wish: Wish, verb: str) -> None:
        """Make the stack what `wish` says; `verb` is CREATE or UPDATE."""
        stack, before = self._stack, dict(self._stack.parts)
        scope = self._scope(wish)
        try:
            resources = wish.template.resources
            wanted = [n for n in wish.template.order if _holds(scope, resources[n].get("Condition"))]
            for name in wanted:
                self._place(name, wish.template, scope)
            outputs = self._outputs(wish.template, scope)
        except Failed as failure:
            self._back(before, verb, str(failure), keep=wish.keep_failed)
            return
        stack.wish, stack.outputs, stack.imports = wish, outputs, frozenset(self._imports)
        stack.parts = {name: stack.parts[name] for name in wanted}
        if verb == "UPDATE":
            stack.mark("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
            self._clean(before)
        stack.updated = time.time() if verb == "UPDATE" else 0.0
        stack.mark(f"{verb}_COMPLETE")

    def delete(self, retained: frozenset[str] = frozenset()) -> None:
        """Remove every resource, last first, and the stack with them."""
        stack = self._stack
        failed = [
            name for name, part in reversed(list(stack.parts.items())) if not self._remove(part, retained)
        ]
        if failed:
            stack.mark(
                "DELETE_FAILED", f"The following resource(s) failed to delete: [{', '.join(failed)}]. "
            )
            return
        stack.outputs, stack.deleted = [], time.time()
        stack.mark("DELETE_COMPLETE")

    def _place(self, name: str, template: Template, scope: Scope) -> None:
        resource, old = template.resources[name], self._stack.parts.get(name)
        kind = kind_of(resource["Type"])
        assert kind is not None, resource["Type"]  # checked when the template was read
        properties = _resolved(scope, resource.get("Properties") or {})
        part = Part(
            name,
            resource["Type"],
            properties,
            keep=resource.get("DeletionPolicy") in KEPT,
            keep_replaced=resource.get("UpdateReplacePolicy") in KEPT,
        )
        if old is None or old.type != part.type or _replaced(kind, part, old):
            reason = (
                "" if old is None else "Requested update requires the creation of a new physical resource"
            )
            self._step(old, part, "CREATE" if old is None else "UPDATE", kind.create, reason)
            return
        part.physical_id, part.attributes, part.made = old.physical_id, dict(old.attributes), old.made
        if part.properties == old.properties:
            part.status, part.reason, part.changed = old.status, old.reason, old.changed
            self._stack.parts[name] = part
            return
        self._step(old, part, "UPDATE", lambda site, new: kind.update(site, new, old.properties), "")

    def _step(
        self, old: Part | None, part: Part, verb: str, act: Callable[[Site, Part], None], reason: str
    ) -> None:
        stack = self._stack
        stack.parts[part.logical_id] = part
        self._done.append((old, part))
        stack.mark_part(part, f"{verb}_IN_PROGRESS", reason)
        try:
            _attempt(act, self._site, part)
        except Failed as failure:
            stack.mark_part(part, f"{verb}_FAILED", str(failure))
            raise Failed(
                f"The following resource(s) failed to {verb.lower()}: [{part.logical_id}]. "
            ) from None
        stack.mark_part(part, f"{verb}_COMPLETE", _left_out(part))

    def _back(self, before: Mapping[str, Part], verb: str, reason: str, *, keep: bool) -> None:
        """Undo what was done, the failed step included."""
        stack = self._stack
        if keep:
            stack.mark(f"{verb}_FAILED", reason)
            return
        start = "ROLLBACK" if verb == "CREATE" else "UPDATE_ROLLBACK"
        stack.mark(f"{start}_IN_PROGRESS", reason)
        failed = [new.logical_id for old, new in reversed(self._done) if not self._undo(old, new)]
        lost = {name: part for name, part in stack.parts.items() if name in failed}
        stack.parts = {**before, **lost}
        if failed:
            stack.mark(f"{start}_FAILED", f"The following resource(s) failed: [{', '.join(failed)}]. ")
        else:
            stack.mark(f"{start}_COMPLETE")

    def _undo(self, old: Part | None, new: Part) -> bool:
        if old is None or old.physical_id != new.physical_id:
            new.keep = new.keep_replaced = False
            return not new.physical_id or self._remove(new)
        kind = kind_of(old.type)
        assert kind is not None, old.type
        self._stack.mark_part(old, "UPDATE_IN_PROGRESS")
        try:
            _attempt(lambda site, part: kind.update(site, part, new.properties), self._site, old)
        except Failed as failure:
            self._stack.mark_part(old, "UPDATE_FAILED", str(failure))
            return False
        self._stack.mark_part(old, "UPDATE_COMPLETE")
        return True

    def _clean(self, before: Mapping[str, Part]) -> None:
        """Remove what the update replaced or left out; what can't be removed stays, as on AWS."""
        now = self._stack.parts
        for name, old in reversed(list(before.items())):
            if name not in now:
                self._remove(old)
            elif old.physical_id != now[name].physical_id and not old.keep_replaced:
                old.keep = False
                self._remove(old)

    def _remove(self, part: Part, retained: frozenset[str] = frozenset()) -> bool:
        stack = self._stack
        if part.status == "DELETE_COMPLETE" or not part.physical_id:
            return True
        if part.keep or part.logical_id in retained:
            stack.mark_part(part, "DELETE_SKIPPED")
            return True
        kind = kind_of(part.type)
        assert kind is not None, part.type
        stack.mark_part(part, "DELETE_IN_PROGRESS")
        try:
            _attempt(kind.delete, self._site, part)
        except Failed as failure:
            stack.mark_part(part, "DELETE_FAILED", str(failure))
            return False
        stack.mark_part(part, "DELETE_COMPLETE")
        return True

    def _scope(self, wish: Wish) -> Scope:
        stack = self._stack
        pseudo = {
            "AWS::AccountId": ACCOUNT,
            "AWS::NotificationARNs": list(wish.topics),
            "AWS::Partition": "aws",
            "AWS::Region": stack.region,
            "AWS::StackId": stack.identity,
            "AWS::StackName": stack.name,
            "AWS::URLSuffix": "amazonaws.com",
        }
        content = wish.template.content
        return Scope(
            {**typed(wish), **pseudo},
            content.get("Mappings") or {},
            content.get("Conditions") or {},
            lambda name: self._part(name).physical_id,
            self._attribute,
            self._exported,
        )

    def _part(self, name: str) -> Part:
        part = self._stack.parts.get(name)
        if part is None:
            raise Refused(f"Unresolved resource dependencies [{name}]", code="ValidationError")
        return part

    def _attribute(self, name: str, attribute: str) -> Any:
        part = self._part(name)
        kind = kind_of(part.type)
        assert kind is not None, part.type
        try:
            return kind.attribute(part, attribute)
        except KeyError:
            message = f"Requested attribute {attribute} does not exist in schema for {part.type}"
            raise Refused(message, code="ValidationError") from None

    def _exported(self, name: str) -> str:
        found = self._stacks.exports(self._stack.region)
        if name not in found:
            raise Refused(f"No export named {name} found.", code="ValidationError")
        self._imports.add(name)
        return found[name][1]

    def _outputs(self, template: Template, scope: Scope) -> list[Output]:
        found = []
        taken = self._stacks.exports(self._stack.region)
        for key, output in template.outputs.items():
            if not _holds(scope, output.get("Condition")):
                continue
            value = _resolved(scope, output.get("Value"))
            export = text(_resolved(scope, (output.get("Export") or {}).get("Name", "")))
            owner = taken[export][0] if export in taken else self._stack
            if owner is not self._stack:
                raise Failed(f"Export with name {export} is already exported by stack {owner.name}. ")
            if value is not NOTHING:
                found.append(Output(key, text(value), str(output.get("Description", "")), export))
        return found


def typed(wish: Wish) -> dict[str, Any]:
    """The parameters' values: lists where their type says so."""
    values: dict[str, Any] = {}
    for name, value in wish.parameters.items():
        kind = str(wish.template.parameters[name].get("Type", "String"))
        listed = kind == "CommaDelimitedList" or kind.startswith("List<")
        values[name] = [item.strip() for item in value.split(",")] if listed else value
    return values


def _replaced(kind: Kind, part: Part, old: Part) -> bool:
    return any(part.properties.get(name) != old.properties.get(name) for name in kind.replaced_by)


def _left_out(part: Part) -> str:
    """What of a resource the embedded cloud doesn't do."""
    kind = kind_of(part.type)
    if kind is None or kind.known is None:
        return ""
    names = sorted(set(part.properties) - set(kind.known))
    return f"The embedded cloud leaves out: {', '.join(names)}" if names else ""


MALFORMED = (AttributeError, IndexError, KeyError, StopIteration, TypeError, ValueError)


def _resolved(scope: Scope, value: Any) -> Any:
    try:
        return scope.resolve(value)
    except Refused as error:
        raise Failed(error.message) from error
    except MALFORMED as error:
        raise Failed(f"Template error: a function can't be called so: {error!r}") from error


def _holds(scope: Scope, condition: str | None) -> bool:
    try:
        return condition is None or scope.holds(condition)
    except Refused as error:
        raise Failed(error.message) from error
    except MALFORMED as error:
        raise Failed(f"Template error: condition {condition} can't be evaluated: {error!r}") from error


def _attempt(act: Callable[[Site, Part], None], site: Site, part: Part) -> None:
    """Carry out `act`; whatever it ends with becomes the reason that an event shows."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        act(site, part)
    except Failed:
        raise
    except ClientError as error:
        told = error.response["Error"]
        raise Failed(
            f'Resource handler returned message: "{told.get("Message", "")}" (Service: {_service(error)}, '
            f"HandlerErrorCode: {told['Code']})"
        ) from error
    except KeyError as error:
        raise Failed(f"Properties validation failed: required key [{error.args[0]}] not found") from error
    except (BotoCoreError, Refused) as error:
        raise Failed(f"Properties validation failed: {error}") from error
    except Exception as error:  # the boundary: whatever a type's maker ends with fails its resource
        log.exception("%s %s failed", part.type, part.logical_id)
        raise Failed(f"Internal Failure: {type(error).__name__}: {error}") from error


def _service(error: Any) -> str:
    return str(error.operation_name)
