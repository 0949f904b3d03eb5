"""The work of creating, updating and deleting a function, stage by stage."""

from __future__ import annotations

import copy
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from clouddeploy.emulator.google import artifacts, packages
from clouddeploy.emulator.google.call import now, number
from clouddeploy.emulator.google.errors import ApiError
from clouddeploy.emulator.google.functions import service as run_service
from clouddeploy.emulator.google.functions.source import fetch
from clouddeploy.emulator.google.images import Image
from clouddeploy.emulator.google.operations import EMPTY, Operation
from clouddeploy.emulator.google.run import services

if TYPE_CHECKING:
    from clouddeploy.emulator.google.cloud import Google

TYPE = "type.googleapis.com/google.cloud.functions.v2.Function"
METADATA = "type.googleapis.com/google.cloud.functions.v2.OperationMetadata"
STAGES = ("ARTIFACT_REGISTRY", "BUILD", "SERVICE")
CONSOLE = "https://console.cloud.google.com"


def metadata(function: Mapping[str, Any], verb: str) -> dict[str, Any]:
    """An operation's metadata before it begins."""
    found: dict[str, Any] = {
        "@type": METADATA,
        "createTime": now(),
        "target": function["name"],
        "verb": verb,
        "cancelRequested": False,
        "apiVersion": "v2",
        "operationType": f"{verb.upper()}_FUNCTION",
    }
    if verb == "delete":
        return found
    request = {"@type": TYPE, **copy.deepcopy(dict(function))}
    stages = [{"name": name, "state": "NOT_STARTED"} for name in STAGES]
    return {**found, "requestResource": request, "stages": stages}


def deploy(cloud: Google, operation: Operation, function: dict[str, Any], principal: str) -> dict[str, Any]:
    """Build and serve `function`; the function as it then is.

    Raises:
        ApiError: the build failed, or the revision doesn't become ready.
    """
    project, region, identity = function["name"].split("/")[1::2]
    _stage(cloud, operation, "ARTIFACT_REGISTRY")
    repository = artifacts.functions_repository(cloud, project, region)
    _stage(cloud, operation, "BUILD")
    image = _build(cloud, operation, function, repository)
    _stage(cloud, operation, "SERVICE")
    service = run_service.apply(cloud, function, image, principal)
    address = f"{CONSOLE}/run/detail/{region}/{identity}/revisions?project={project}"
    _note(operation, "SERVICE", state="COMPLETE", resource=service["name"], resourceUri=address, message="")
    with operation.lock:
        operation.metadata["endTime"] = now()
    return function


def delete(cloud: Google, operation: Operation, name: str) -> dict[str, Any]:
    """Remove a function with its service, its revisions and their policies."""
    cloud.sleep(cloud.google.operation_s)
    services.remove(cloud, run_service.service_name(name))
    with cloud.lock:
        cloud.functions.pop(name, None)
        cloud.policies.drop(name)
    with operation.lock:
        operation.metadata["endTime"] = now()
    return dict(EMPTY)


def _build(cloud: Google, operation: Operation, function: dict[str, Any], repository: str) -> str:
    from clouddeploy.emulator.google.plane import BuildFailed

    project, region, _ = function["name"].split("/")[1::2]
    build = function["buildConfig"]
    number_ = str(uuid.uuid4())
    name = f"projects/{number(project)}/locations/{region}/builds/{number_}"
    page = f"{CONSOLE}/cloud-build/builds;region={region}/{number_}?project={number(project)}"
    with operation.lock:
        operation.metadata["buildName"] = name
    _note(operation, "BUILD", resource=name, resourceUri=page)
    build["build"] = name
    writer = cloud.logs.build_writer(project, region, number_)
    path = fetch(cloud, function)
    try:
        built = cloud.plane.build(path, entry_point=build["entryPoint"], runtime=build["runtime"], log=writer)
    except BuildFailed as error:
        raise ApiError(
            "INVALID_ARGUMENT",
            f"Build failed with status: FAILURE and message: {error}. "
            f"For more details see the logs at {page}.",
        ) from error
    uri = packages.pushed(cloud, repository, function["name"])
    signature = "cloudevent" if function.get("eventTrigger") else "http"
    cloud.images.put(
        uri,
        Image(
            root=built.root,
            environment=built.environment,
            entry_point=build["entryPoint"],
            signature=signature,
        ),
    )
    return uri


def state_message(error: ApiError) -> dict[str, Any]:
    """What a function, or a stage, says of its failure."""
    kind = "BuildFailed" if error.message.startswith("Build failed") else "CloudRunServiceNotReady"
    return {"severity": "ERROR", "type": kind, "message": error.message}


def note_failure(operation: Operation, error: ApiError) -> None:
    """Write into the stage under way why it ends."""
    with operation.lock:
        operation.metadata["endTime"] = now()
        for stage in operation.metadata.get("stages", ()):
            if stage["state"] == "IN_PROGRESS":
                stage["stateMessages"] = [state_message(error)]


def _stage(cloud: Google, operation: Operation, name: str) -> None:
    """End the stages before `name` and begin it."""
    with operation.lock:
        for stage in operation.metadata["stages"]:
            if stage["name"] == name:
                stage["state"] = "IN_PROGRESS"
                stage["message"] = f"{name.replace('_', ' ').capitalize()} in progress"
                break
            stage["state"] = "COMPLETE"
            stage.pop("message", None)
    cloud.sleep(cloud.google.operation_s / len(STAGES))


def _note(operation: Operation, name: str, **fields: str) -> None:
    with operation.lock:
        for stage in operation.metadata["stages"]:
            if stage["name"] == name:
                stage.update(fields)
