"""What Lambda refuses of a function's code and configuration (CreateFunction, Lambda API Reference).

Figures: "Lambda quotas" (Lambda Developer Guide).
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import zipfile
from typing import TYPE_CHECKING, Any

from clouddeploy.emulator.call import Refused
from clouddeploy.emulator.constraints import model
from clouddeploy.emulator.functions import images
from clouddeploy.emulator.functions.names import invalid

if TYPE_CHECKING:
    from clouddeploy.emulator.cloud import Cloud

PRINCIPAL = "lambda.amazonaws.com"
TIMEOUT_S, MEMORY_MB = 900, (128, 10_240)
UNZIPPED, REQUEST, VARIABLES = 262_144_000, 69_905_067, 4096
# "Defined runtime environment variables": reserved ones can't be set.
RESERVED = frozenset(
    {"_HANDLER", "_X_AMZN_TRACE_ID", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_EXECUTION_ENV"}
    | {"AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_VERSION"}
    | {"AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME"}
    | {"AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}
    | {"AWS_LAMBDA_RUNTIME_API", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR"}
)
NO_ROLE = "The role defined for the function cannot be assumed by Lambda."
NO_ZIP = "Could not unzip uploaded file. Please check your file, then try to upload again."


def figures(wish: dict[str, Any]) -> None:
    """Refuse a runtime, a timeout or a memory size that the service doesn't have.

    The model's own limits are those of Lambda Managed Instances, which are wider.
    """
    runtime, known = wish.get("Runtime"), model("lambda").shape_for("Runtime").enum
    if runtime is not None and runtime not in known:
        raise invalid(
            f"Value {runtime} at 'runtime' failed to satisfy constraint: Member must satisfy enum value "
            f"set: [{', '.join(known)}] or be a valid ARN"
        )
    _between("timeout", wish.get("Timeout"), 1, TIMEOUT_S)
    _between("memorySize", wish.get("MemorySize"), *MEMORY_MB)
    if wish.get("ProvisionedConcurrentExecutions") is not None:
        _between("provisionedConcurrentExecutions", wish["ProvisionedConcurrentExecutions"], 1, 2**31)


def _between(name: str, value: Any, low: int, high: int) -> None:
    if value is None or low <= value <= high:
        return
    side = f"less than or equal to {high}" if value > high else f"greater than or equal to {low}"
    raise Refused(
        f"1 validation error detected: Value '{value}' at '{name}' failed to satisfy constraint: Member must "
        f"have value {side}"
    )


def complete(wish: dict[str, Any]) -> None:
    """Refuse a new function that lacks what its package needs."""
    if wish.get("PackageType", "Zip") == "Zip":
        missing = [name for name in ("Runtime", "Handler") if not wish.get(name)]
        if missing:
            raise invalid(f"{missing[0]} is mandatory for functions created with deployment packages.")
    elif wish.get("Runtime") or wish.get("Handler") or wish.get("Layers"):
        raise invalid(
            "Please don't provide Handler or Runtime or Layer when the intended function PackageType is "
            "Image."
        )


def variables(wish: dict[str, Any]) -> None:
    """Refuse environment variables that are Lambda's own, or too many."""
    given: dict[str, str] = (wish.get("Environment") or {}).get("Variables") or {}
    start = (
        "Lambda was unable to configure your environment variables because the environment variables you "
        "have provided"
    )
    taken = sorted(RESERVED & set(given))
    if taken:
        raise invalid(
            f"{start} contains reserved keys that are currently not supported for modification. Reserved "
            f"keys used in this request: {', '.join(taken)}"
        )
    size = len(json.dumps(given, separators=(",", ":")).encode())
    if size > VARIABLES:
        raise invalid(f"{start} exceeded the 4KB limit. String measured: {size} bytes")


def snap_start(wish: dict[str, Any], runtime: str, package: str) -> None:
    """Refuse SnapStart with what excludes it ("Improving startup performance with Lambda SnapStart")."""
    if (wish.get("SnapStart") or {}).get("ApplyOn") != "PublishedVersions":
        return
    kind, _, number = runtime.partition("python")
    supported = runtime.startswith(("java11", "java17", "java21", "java25", "dotnet8", "dotnet10"))
    if number and not kind:
        supported = tuple(int(part) for part in number.split(".")) >= (3, 12)
    if package == "Image" or not supported:
        raise invalid(f"{runtime or 'Container image'} is not supported for SnapStart enabled functions.")
    if (wish.get("EphemeralStorage") or {}).get("Size", 512) > 512:
        raise invalid("SnapStart does not support ephemeral storage greater than 512 MB.")
    if wish.get("FileSystemConfigs"):
        raise invalid("SnapStart does not support file systems.")


def role(cloud: Cloud, wish: dict[str, Any]) -> None:
    """Refuse a role that Lambda may not assume."""
    arn = wish.get("Role")
    if arn and cloud.roles.usable(arn, cloud.settings, PRINCIPAL) is None:
        raise invalid(NO_ROLE)


def code(
    cloud: Cloud, region: str, wish: dict[str, Any], *, request_size: int, operation: str
) -> dict[str, str] | None:
    """Refuse code that isn't there, is no zip or image, or is too large; tells what an image is."""
    if wish.get("ZipFile"):
        if request_size > REQUEST:
            raise Refused(
                f"Request must be smaller than {REQUEST} bytes for the {operation} operation",
                code="RequestEntityTooLargeException",
                status=413,
            )
        try:
            data = base64.b64decode(wish["ZipFile"], validate=True)
        except (binascii.Error, ValueError):
            raise invalid(NO_ZIP) from None
        _zip(io.BytesIO(data))
    elif wish.get("S3Bucket") and wish.get("S3Key"):
        _stored(cloud, str(wish["S3Bucket"]), str(wish["S3Key"]))
    elif wish.get("ImageUri"):
        return images.source(cloud, region, str(wish["ImageUri"]))
    else:
        raise invalid("Please provide a source for function code.")
    return None


def _stored(cloud: Cloud, bucket: str, key: str) -> None:
    start = "Error occurred while GetObject. S3 Error Code:"
    if not cloud.s3.exists(bucket):
        raise invalid(f"{start} NoSuchBucket. S3 Error Message: The specified bucket does not exist")
    if not any(name == key for name, _, _ in cloud.s3.list(bucket, key)):
        raise invalid(f"{start} NoSuchKey. S3 Error Message: The specified key does not exist.")
    data = io.BytesIO()
    cloud.s3.copy(bucket, key, data)
    _zip(data)


def _zip(data: io.BytesIO) -> None:
    try:
        with zipfile.ZipFile(data) as archive:
            size = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        raise invalid(NO_ZIP) from None
    if not size:
        raise invalid("Uploaded file must be a non-empty zip")
    if size > UNZIPPED:
        raise invalid(f"Unzipped size must be smaller than {UNZIPPED} bytes")
