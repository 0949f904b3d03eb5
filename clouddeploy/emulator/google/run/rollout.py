"""Making a service what its record says: a new revision where the template changed, and the traffic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from clouddeploy.emulator.google import metadata, secrets
from clouddeploy.emulator.google.call import etag, now, part
from clouddeploy.emulator.google.errors import ApiError
from clouddeploy.emulator.google.images import Image
from clouddeploy.emulator.google.run import conditions, revisions, traffic
from clouddeploy.emulator.google.run.template import MI, cpus, main_container, memory_bytes, seconds

if TYPE_CHECKING:
    from clouddeploy.emulator.google.cloud import Google


def roll_out(cloud: Google, service: dict[str, Any], *, template_changed: bool) -> None:
    """Bring `service` (the record itself) about; what served before serves on if that fails.

    Raises:
        ApiError: the new revision doesn't become ready.
    """
    try:
        if template_changed:
            _add_revision(cloud, service)
    except ApiError as error:
        with cloud.lock:
            conditions.settle(service, failed=error.message)
            service["etag"] = etag()
        raise
    with cloud.lock:
        service["trafficStatuses"] = traffic.statuses(service)
        conditions.settle(service)
        service["updateTime"] = now()
        service["etag"] = etag()
    share(cloud, service)


def share(cloud: Google, service: Mapping[str, Any]) -> None:
    """Keep the least number of instances of those revisions that requests can reach, and of no other; and
    never more of all together than the service may have."""
    reached = traffic.used(service)
    scaling = service.get("scaling", {})
    least, most = scaling.get("minInstanceCount", 0), scaling.get("maxInstanceCount") or None
    for name, revision in revisions.of(cloud, service["name"]).items():
        own = revision.get("scaling", {}).get("minInstanceCount", 0)
        if revision["name"] in cloud.started:
            least_here = max(own, least) if name in reached else 0
            cloud.plane.serve(revision["name"], min=least_here, service_max=most)


def _add_revision(cloud: Google, service: dict[str, Any]) -> None:
    with cloud.lock:
        if cloud.services.get(service["name"]) is not service:
            raise ApiError("ABORTED", f"The service '{service['name']}' was deleted.")
        revision = revisions.make(cloud, service)
        service["latestCreatedRevision"] = revision["name"]
    if not revision["reconciling"]:  # the template names one that is there already
        revisions.refuse_failed(revision)
        service["latestReadyRevision"] = revision["name"]
        return
    try:
        _start(cloud, service, revision)
    except ApiError as error:
        with cloud.lock:
            revisions.settle(revision, error)
        raise
    with cloud.lock:
        revisions.settle(revision)
        service["latestReadyRevision"] = revision["name"]


def _start(cloud: Google, service: Mapping[str, Any], revision: Mapping[str, Any]) -> None:
    from clouddeploy.emulator.google.plane import NotReady

    short = revision["name"].rpartition("/")[2]
    try:
        cloud.plane.add(_spec(cloud, service, revision))
    except NotReady as error:
        raise _unready(short, str(error), revision["logUri"]) from error
    cloud.started.add(revision["name"])


def _spec(cloud: Google, service: Mapping[str, Any], revision: Mapping[str, Any]) -> Any:
    from clouddeploy.emulator.google.plane import RevisionSpec

    container = main_container(revision)
    assert container is not None, "checked when the call came in"
    image = cloud.images.find(container["image"])
    if image is None:
        short = revision["name"].rpartition("/")[2]
        raise _unready(short, f"Image '{container['image']}' not found.", "")
    limits, probe = container["resources"]["limits"], container.get("startupProbe", {})
    project, region = part(service["name"], "projects"), part(service["name"], "locations")
    whoami = metadata.host_of(cloud.url, revision["serviceAccount"], project, region)
    return RevisionSpec(
        name=revision["name"],
        service=service["name"].rpartition("/")[2],
        project=project,
        region=region,
        root=image.root,
        environment=image.environment,
        command=_command(container, image),
        env={
            **image.env,
            **dict.fromkeys(("GCE_METADATA_HOST", "GCE_METADATA_IP"), whoami),
            **_environment(cloud, project, revision, container),
        },
        entry_point=image.entry_point,
        signature=image.signature,
        workdir=container.get("workingDir") or image.workdir,
        concurrency=revision.get("maxInstanceRequestConcurrency", 1),
        min=revision["scaling"].get("minInstanceCount", 0),
        max=revision["scaling"].get("maxInstanceCount", 100),
        timeout_s=seconds(revision["timeout"]),
        memory_mb=memory_bytes(limits["memory"], "memory") / MI,
        cpu=cpus(limits["cpu"], "cpu"),
        startup_timeout_s=probe.get("failureThreshold", 3) * probe.get("periodSeconds", 10),
        account=revision["serviceAccount"],
        log=cloud.logs.writer(revision["name"]),
    )


def _command(container: Mapping[str, Any], image: Image) -> tuple[str, ...]:
    """What starts the container: a command of its own leaves out the image's arguments, too."""
    entry, arguments = container.get("command"), container.get("args")
    if entry:
        return (*entry, *(arguments or ()))
    return (*image.command, *(arguments or image.arguments))


def _environment(
    cloud: Google, project: str, revision: Mapping[str, Any], container: Mapping[str, Any]
) -> dict[str, str]:
    found = {}
    for entry in container.get("env", ()):
        source = entry.get("valueSource", {}).get("secretKeyRef")
        found[entry["name"]] = entry.get("value", "")
        if source:
            try:
                found[entry["name"]] = secrets.value(cloud, project, source, revision["serviceAccount"])
            except ApiError as error:
                short = revision["name"].rpartition("/")[2]
                raise _unready(short, error.message, "") from error
    return found


def _unready(revision: str, why: str, uri: str) -> ApiError:
    text = f"Revision '{revision}' is not ready and cannot serve traffic. {why}"
    if uri:
        text += (
            f"\n\nLogs URL: {uri}\nFor more troubleshooting guidance, see "
            "https://cloud.google.com/run/docs/troubleshooting#container-failed-to-start"
        )
    return ApiError("FAILED_PRECONDITION", text)
