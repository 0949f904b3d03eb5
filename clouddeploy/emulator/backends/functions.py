"""moto's Lambda backend: the store of functions, versions and aliases, shared with CloudFormation.

What moto doesn't keep is kept as `extras` on moto's own objects, so that it goes when they go.
"""

from __future__ import annotations

import copy
import time
import uuid
from collections.abc import Iterator
from collections.abc import Mapping as Members
from contextlib import contextmanager
from typing import Any

from clouddeploy.emulator.backends.turns import turn
from clouddeploy.emulator.call import Refused
from clouddeploy.emulator.settings import ACCOUNT

LATEST = "$LATEST"
# Parameters of CreateFunction and UpdateFunctionConfiguration that moto forgets.
FORGOTTEN = ("SnapStart", "DeadLetterConfig", "LoggingConfig", "FileSystemConfigs", "KMSKeyArn")
# Those that it keeps on creation but not on an update.
NOT_UPDATED = {"TracingConfig": "tracing_config", "EphemeralStorage": "ephemeral_storage"}


def backend_of(region: str) -> Any:
    """moto's backend of a region."""
    from moto.awslambda.models import lambda_backends

    return lambda_backends[ACCOUNT][region]


@contextmanager
def asked() -> Iterator[None]:
    """Hold moto's Lambda alone, and give its refusals as ours."""
    from moto.core.exceptions import JsonRESTError

    try:
        with turn("lambda"):
            yield
    except JsonRESTError as error:
        status = error.code if isinstance(error.code, int) else 400
        raise Refused(str(error.message), code=str(error.error_type), status=status) from error


def arn_of(region: str, name: str, qualifier: str = "") -> str:
    """A function's ARN, of a version or an alias with `qualifier`."""
    return f"arn:aws:lambda:{region}:{ACCOUNT}:function:{name}{':' + qualifier if qualifier else ''}"


def missing(region: str, name: str, qualifier: str = "") -> Refused:
    """The refusal for what isn't there."""
    message = f"Function not found: {arn_of(region, name, qualifier)}"
    return Refused(message, code="ResourceNotFoundException", status=404)


class Function:
    """One version of a function (or ``$LATEST``), moto's object behind names of ours."""

    def __init__(self, raw: Any) -> None:
        self.raw = raw

    @property
    def region(self) -> str:
        """Its region."""
        return str(self.raw.region)

    @property
    def name(self) -> str:
        """The function's name."""
        return str(self.raw.function_name)

    @property
    def version(self) -> str:
        """``$LATEST`` or a number."""
        return str(self.raw.version)

    @property
    def arn(self) -> str:
        """Its ARN; a published version's ends with its number."""
        return arn_of(self.region, self.name, "" if self.version == LATEST else self.version)

    @property
    def extras(self) -> dict[str, Any]:
        """What moto has no place for."""
        found: dict[str, Any] = self.raw.__dict__.setdefault("clouddeploy_extras", {})
        return found

    @property
    def code(self) -> bytes:
        """The zip's bytes; empty for an image."""
        return bytes(getattr(self.raw, "code_bytes", b""))

    @property
    def sha256(self) -> str:
        """The zip's digest, base64 as the API has it."""
        return str(self.raw.code_sha_256)

    @property
    def variables(self) -> dict[str, str]:
        """The function's own environment variables."""
        return {str(k): str(v) for k, v in (self.raw.environment_vars or {}).items()}

    @property
    def runtime(self) -> str:
        """Such as ``python3.13``; empty for an image."""
        return str(self.raw.run_time or "")

    @property
    def memory_mb(self) -> int:
        """Memory in MiB."""
        return int(self.raw.memory_size)

    @property
    def timeout_s(self) -> float:
        """Seconds that an invocation may take."""
        return float(self.raw.timeout)

    @property
    def handler(self) -> str:
        """``module.function``."""
        return str(self.raw.handler or "")

    @property
    def role(self) -> str:
        """The execution role's ARN."""
        return str(self.raw.role)

    @property
    def package(self) -> str:
        """``Zip`` or ``Image``."""
        return str(self.raw.package_type)

    @property
    def image_settings(self) -> dict[str, Any]:
        """What its ``ImageConfig`` sets; an image's own settings hold otherwise."""
        found: dict[str, Any] = self.raw.image_config.response()
        return found

    @property
    def architecture(self) -> str:
        """``x86_64`` or ``arm64``."""
        return str(self.raw.architectures[0])

    @property
    def snap_start(self) -> bool:
        """Whether versions are started from a snapshot."""
        return bool(self.extras.get("SnapStart", {}).get("ApplyOn") == "PublishedVersions")

    @property
    def reserved(self) -> int | None:
        """The function's reserved concurrency."""
        found = latest(self.region, self.name).raw.reserved_concurrency
        return None if found is None else int(found)

    @property
    def statements(self) -> list[dict[str, Any]]:
        """The statements of its resource policy, one list for all versions."""
        found: list[dict[str, Any]] = self.raw.policy.statements
        return found

    def layers(self) -> list[bytes]:
        """The zips of its layers, in order."""
        backend = backend_of(self.region)
        return [bytes(backend.layers_versions_by_arn(layer["Arn"]).code_bytes) for layer in self.raw.layers]

    def configuration(self) -> dict[str, Any]:
        """As moto describes it."""
        found: dict[str, Any] = self.raw.get_configuration()
        return found

    def touch(self) -> None:
        """A change: another revision, another date."""
        self.extras["RevisionId"] = str(uuid.uuid4())
        self.raw.last_modified = timestamp()
        self.raw.code_or_config_updated = True


def timestamp(at: float | None = None) -> str:
    """A moment as Lambda writes it."""
    now = time.time() if at is None else at
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03d}+0000"


def find(region: str, name: str) -> Function | None:
    """A function's ``$LATEST``, or None."""
    group = backend_of(region)._lambdas._functions.get(name)
    return Function(group["latest"]) if group and group["latest"] is not None else None


def latest(region: str, name: str) -> Function:
    """A function's ``$LATEST``.

    Raises:
        Refused: there is no such function.
    """
    found = find(region, name)
    if found is None:
        raise missing(region, name)
    return found


def versions(region: str, name: str) -> list[Function]:
    """The published versions, oldest first."""
    latest(region, name)
    return [Function(raw) for raw in backend_of(region)._lambdas._functions[name]["versions"]]


def version(region: str, name: str, number: str) -> Function:
    """One version, or ``$LATEST``.

    Raises:
        Refused: there is no such version.
    """
    if number in ("", LATEST):
        return latest(region, name)
    for found in versions(region, name):
        if found.version == number:
            return found
    raise missing(region, name, number)


def shared(region: str, name: str) -> dict[str, Any]:
    """What belongs to a function rather than to one version of it, and goes with it.

    Raises:
        Refused: there is no such function.
    """
    latest(region, name)
    found: dict[str, Any] = backend_of(region)._lambdas._functions[name].setdefault("clouddeploy", {})
    return found


def everything(region: str) -> list[Function]:
    """The ``$LATEST`` of every function of a region."""
    return [Function(raw) for raw in backend_of(region)._lambdas.latest()]


def regions() -> list[str]:
    """The regions in which somebody asked Lambda for something."""
    from moto.awslambda.models import lambda_backends

    return list(lambda_backends[ACCOUNT])


def create(region: str, spec: Members[str, Any], image: Members[str, str] | None = None) -> Function:
    """Make a function of a checked request; its code is given as bytes, an S3 object or an `image`."""
    with asked():
        made = Function(backend_of(region).create_function({**spec, "Publish": False}))
        made.extras.update({k: spec[k] for k in FORGOTTEN if spec.get(k)})
        _keep_image(made, image)
        made.touch()
        return made


def configure(function: Function, changes: Members[str, Any]) -> None:
    """Change a function's configuration."""
    with asked():
        function.raw.update_configuration(dict(changes))
        for name, attribute in NOT_UPDATED.items():
            if changes.get(name):
                value = changes[name]
                setattr(function.raw, attribute, value["Size"] if name == "EphemeralStorage" else value)
        if changes.get("ImageConfig") is not None:
            from moto.awslambda.models import ImageConfig

            function.raw.image_config = ImageConfig(changes["ImageConfig"])
        for name in FORGOTTEN:
            if name in changes:
                function.extras[name] = changes[name]
        function.touch()


def _keep_image(function: Function, image: Members[str, str] | None) -> None:
    """An image function's code hash is its image's digest (GetFunction: ``CodeSha256``)."""
    if image is not None:
        function.extras["Image"] = dict(image)
        function.raw.code_sha_256 = image["digest"].partition(":")[2]
        function.raw.code_size = 0


def replace_code(
    function: Function, source: Members[str, Any], image: Members[str, str] | None = None
) -> None:
    """Give a function another zip or image."""
    with asked():
        if source.get("Architectures"):
            function.raw.architectures = source["Architectures"]
        function.raw.update_function_code({k: v for k, v in source.items() if k != "DryRun"})
        _keep_image(function, image)
        function.touch()


def publish(region: str, name: str, description: str | None = None) -> Function:
    """Publish ``$LATEST``; the last version again when nothing has changed since.

    PublishVersion (Lambda API Reference): "Lambda doesn't publish a version if the function's
    configuration and code haven't changed since the last version". Numbers are never used twice
    ("Manage Lambda function versions", Lambda Developer Guide).
    """
    with asked():
        source = latest(region, name)
        group = backend_of(region)._lambdas._functions[name]
        known = versions(region, name)
        print_now = _fingerprint(source)
        if known and known[-1].extras.get("published_from") == print_now:
            return known[-1]
        number = max([shared(region, name).get("last_version", 0), *(int(v.version) for v in known)]) + 1
        made = Function(copy.copy(source.raw))
        made.raw.__dict__["clouddeploy_extras"] = {**source.extras, "published_from": print_now}
        made.raw.set_version(number)
        made.touch()
        if description:
            made.raw.description = description
        shared(region, name)["last_version"] = number
        group["versions"].append(made.raw)
        backend_of(region)._lambdas._arns[made.raw.function_arn] = made.raw
        return made


def _fingerprint(function: Function) -> str:
    moving = ("LastModified", "State", "LastUpdateStatus", "Version", "FunctionArn")
    told = {k: v for k, v in function.configuration().items() if k not in moving}
    told.update({k: function.extras.get(k) for k in FORGOTTEN})
    return repr(sorted(told.items()))


def delete(region: str, name: str) -> None:
    """Forget a function with its versions and aliases, and the mappings that feed it."""
    with asked():
        backend = backend_of(region)
        mappings: dict[str, Any] = backend._event_source_mappings
        for key in [k for k, m in mappings.items() if str(m.function_arn).split(":")[6] == name]:
            del mappings[key]
        backend.delete_function(name)
        backend._lambdas._aliases.pop(arn_of(region, name), None)


def delete_version(region: str, name: str, number: str) -> None:
    """Forget one version."""
    with asked():
        backend_of(region)._lambdas._functions[name]["versions"].remove(version(region, name, number).raw)


def aliases(region: str, name: str) -> dict[str, Any]:
    """moto's aliases of a function by name: ``name``, ``function_version``, ``routing_config`` …"""
    latest(region, name)
    found: dict[str, Any] = backend_of(region)._lambdas._aliases[arn_of(region, name)]
    return found


def add_alias(
    region: str, name: str, alias: str, number: str, description: str, routing: Members[str, Any] | None
) -> Any:
    """Make an alias of a checked request; moto's object."""
    with asked():
        return backend_of(region).create_alias(alias, name, number, description, routing)


def reserve(function: Function, count: int | None) -> None:
    """Set or lift a function's reserved concurrency."""
    with asked():
        function.raw.reserved_concurrency = count
