"""Services of Cloud Run ("REST Resource: projects.locations.services", Cloud Run Admin API v2)."""

from __future__ import annotations

import copy
import re
import uuid
from collections.abc import Mapping
from dataclasses import replace as replace_call
from typing import TYPE_CHECKING, Any

from clouddeploy.emulator.google import masks
from clouddeploy.emulator.google.call import Call, etag, now
from clouddeploy.emulator.google.errors import ApiError, invalid, missing
from clouddeploy.emulator.google.listing import page
from clouddeploy.emulator.google.operations import Operation
from clouddeploy.emulator.google.run import conditions, revisions, template, traffic
from clouddeploy.emulator.google.run.fields import FIELDS
from clouddeploy.emulator.google.run.rollout import roll_out

if TYPE_CHECKING:
    from clouddeploy.emulator.google.cloud import Google

TYPE = "type.googleapis.com/google.cloud.run.v2.Service"
NAME = re.compile(r"[a-z]([-a-z0-9]{0,47}[a-z0-9])?")
# Fields that only the service sets ("Output only" in the reference), and the name.
KEPT = (
    "name", "uid", "generation", "createTime", "updateTime", "deleteTime", "expireTime", "creator",
    "lastModifier", "observedGeneration", "terminalCondition", "conditions", "latestReadyRevision",
    "latestCreatedRevision", "trafficStatuses", "uri", "urls", "satisfiesPzs", "reconciling", "etag",
)  # fmt: skip


def create(cloud: Google, call: Call) -> dict[str, Any]:
    """``run.projects.locations.services.create``"""
    identity = call.query.get("serviceId", "")
    if not NAME.fullmatch(identity):
        raise invalid(
            f"Invalid service ID {identity!r}. Only lowercase letters, digits, and hyphens; must begin with "
            "a letter, may not end with a hyphen, and must be less than 50 characters.",
            "service_id",
        )
    name = f"{call.name}/services/{identity}"
    wished = {k: v for k, v in call.body.items() if k not in KEPT}
    service = fresh(cloud, name, wished, call.principal)
    with cloud.lock:
        if name in cloud.services:
            raise ApiError("ALREADY_EXISTS", f"Resource '{identity}' already exists.")
        admit(cloud, name)
        check(cloud, service)
        if call.flag("validateOnly"):
            return _done(call.name, service)
        cloud.accounts.use(service["template"]["serviceAccount"], cloud.google.account_ready_after_calls)
        cloud.services[name] = service
    return _begin(cloud, service, template_changed=True)


def fresh(cloud: Google, name: str, wished: Mapping[str, Any], principal: str) -> dict[str, Any]:
    """The record of a new service with the defaults filled in."""
    at = now()
    project, region, identity = name.split("/")[1::2]
    uri = f"{cloud.url}/_run/{project}/{region}/{identity}"
    made = {
        "name": name,
        "uid": str(uuid.uuid4()),
        "generation": "1",
        "createTime": at,
        "updateTime": at,
        "creator": principal,
        "lastModifier": principal,
        "launchStage": "GA",
        "ingress": "INGRESS_TRAFFIC_ALL",
        **copy.deepcopy(dict(wished)),
        "uri": uri,
        "urls": [uri],
        "etag": etag(),
    }
    made["template"] = template.filled(made.get("template", {}), project)
    made["traffic"] = made.get("traffic") or [dict(t) for t in traffic.DEFAULT]
    conditions.reconciling(made)
    return made


def admit(cloud: Google, name: str) -> None:
    """Refuse one more service than the quota allows.

    Raises:
        ApiError: RESOURCE_EXHAUSTED.
    """
    parent = name.partition("/services/")[0]
    count = sum(n.startswith(f"{parent}/services/") for n in cloud.services)
    if count >= cloud.google.max_services:
        raise ApiError(
            "RESOURCE_EXHAUSTED",
            f"Quota exceeded for total number of services in region: {count} of "
            f"{cloud.google.max_services} are in use.",
        )


def check(cloud: Google, service: Mapping[str, Any]) -> None:
    """Refuse a record that can't be brought about.

    Raises:
        ApiError: what is wrong.
    """
    template.check(service["template"], most_instances=cloud.google.max_instances)
    known = revisions.of(cloud, service["name"])
    named = service["template"].get("revision")
    short = service["name"].rpartition("/")[2]
    if named and not named.startswith(f"{short}-"):
        raise invalid(
            f"template.revision: Revision name must be prefixed by '{short}-'.", "template.revision"
        )
    traffic.check(service["traffic"], {**known, **({named: {}} if named else {})})


def update(cloud: Google, call: Call) -> dict[str, Any]:
    """``run.projects.locations.services.patch``"""
    if call.flag("allowMissing") and call.name not in cloud.services:
        parent, _, identity = call.name.partition("/services/")
        return create(cloud, replace_call(call, name=parent, query={**call.query, "serviceId": identity}))
    with cloud.lock:
        current = find(cloud, call.name)
        if call.body.get("etag", current["etag"]) != current["etag"]:
            # The service's own wording is unknown; the code is that of AIP-154.
            raise ApiError("ABORTED", f"The etag of '{call.name}' is {current['etag']}, not the one given.")
        mask = masks.paths(call.query.get("updateMask", ""))
        masks.check(FIELDS, "Service", mask)
        wished = masks.merged(current, call.body, mask, KEPT)
        project = call.project
        wished["template"] = template.filled(wished.get("template", {}), project)
        wished["traffic"] = wished.get("traffic") or [dict(t) for t in traffic.DEFAULT]
        changed = wished["template"] != current["template"]
        check(cloud, wished)
        if call.flag("validateOnly"):
            return _done(call.name.partition("/services/")[0], wished)
        account = wished["template"]["serviceAccount"]
        if account != current["template"]["serviceAccount"]:
            cloud.accounts.use(account, cloud.google.account_ready_after_calls)
        replace(current, wished, call.principal)
    return _begin(cloud, current, template_changed=changed)


def replace(current: dict[str, Any], wished: Mapping[str, Any], principal: str) -> None:
    """Write the wish into the record, as one more generation of it."""
    kept = {k: current[k] for k in KEPT if k in current}
    current.clear()
    current.update({**wished, **kept})
    current["generation"] = str(int(current["generation"]) + 1)
    current["lastModifier"] = principal
    current["updateTime"] = now()
    current["etag"] = etag()
    conditions.reconciling(current)


def get(cloud: Google, call: Call) -> dict[str, Any]:
    """``run.projects.locations.services.get``"""
    with cloud.lock:
        return copy.deepcopy(find(cloud, call.name))


def list_all(cloud: Google, call: Call) -> dict[str, Any]:
    """``run.projects.locations.services.list``"""
    with cloud.lock:
        names = sorted(n for n in cloud.services if n.startswith(f"{call.name}/services/"))
        return page(call, "services", [copy.deepcopy(cloud.services[n]) for n in names])


def delete(cloud: Google, call: Call) -> dict[str, Any]:
    """``run.projects.locations.services.delete``: with its revisions and its policy."""
    with cloud.lock:
        found = find(cloud, call.name)
        if call.query.get("etag", found["etag"]) != found["etag"]:
            raise ApiError("ABORTED", f"The etag of '{call.name}' is {found['etag']}, not the one given.")
        parent = call.name.partition("/services/")[0]
        if call.flag("validateOnly"):
            return _done(parent, found)
        found["deleteTime"] = now()
        conditions.reconciling(found)
        last = {"@type": TYPE, **copy.deepcopy(found)}

    def work(_: Operation) -> dict[str, Any]:
        with cloud.changing(call.name):
            remove(cloud, call.name)
        return last

    return cloud.begin(parent, last, work).describe()


def remove(cloud: Google, name: str) -> None:
    """End and forget a service with all that belongs to it."""
    with cloud.lock:
        cloud.services.pop(name, None)
        del cloud.made[name]
        cloud.policies.drop(name)
        gone = [r["name"] for r in revisions.of(cloud, name).values()]
    for revision in gone:
        revisions.remove(cloud, revision)


def find(cloud: Google, name: str) -> dict[str, Any]:
    """The record itself.

    Raises:
        ApiError: there is none.
    """
    found = cloud.services.get(name)
    if found is None:
        raise missing(name)
    return found


def _begin(cloud: Google, service: dict[str, Any], *, template_changed: bool) -> dict[str, Any]:
    def work(operation: Operation) -> dict[str, Any]:
        cloud.sleep(cloud.google.operation_s)
        try:
            with cloud.changing(service["name"]):
                roll_out(cloud, service, template_changed=template_changed)
        finally:
            shown = _shown(cloud, service)
            with operation.lock:
                operation.metadata = shown
        return _shown(cloud, service)

    parent = service["name"].partition("/services/")[0]
    return cloud.begin(parent, _shown(cloud, service), work).describe()


def _shown(cloud: Google, service: Mapping[str, Any]) -> dict[str, Any]:
    with cloud.lock:
        return {"@type": TYPE, **copy.deepcopy(dict(service))}


def _done(parent: str, service: Mapping[str, Any]) -> dict[str, Any]:
    shown = {"@type": TYPE, **copy.deepcopy(dict(service))}
    return {"name": f"{parent}/operations/{uuid.uuid4()}", "metadata": shown, "done": True, "response": shown}
