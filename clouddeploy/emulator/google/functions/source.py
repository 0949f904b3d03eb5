"""A function's source: where it is uploaded to, and how a build gets it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clouddeploy.emulator.google.call import Call, number
from clouddeploy.emulator.google.errors import ApiError, missing

if TYPE_CHECKING:
    from clouddeploy.emulator.google.cloud import Google


def upload_url(cloud: Google, call: Call) -> dict[str, Any]:
    """``projects.locations.functions.generateUploadUrl``: a place for one archive, and where to PUT it."""
    bucket = f"gcf-v2-uploads-{number(call.project)}-{call.region}"
    cloud.storage.ensure_bucket(bucket, call.project, call.region)
    name = f"{uuid.uuid4()}.zip"
    return {
        "uploadUrl": cloud.storage.signed_url(bucket, name, method="PUT"),
        "storageSource": {"bucket": bucket, "object": name},
    }


def download_url(cloud: Google, call: Call) -> dict[str, Any]:
    """``projects.locations.functions.generateDownloadUrl``"""
    function = cloud.functions.get(call.name)
    if function is None:
        raise missing(call.name)
    source = function["buildConfig"]["source"]["storageSource"]
    return {"downloadUrl": cloud.storage.signed_url(source["bucket"], source["object"], method="GET")}


def fetch(cloud: Google, function: Mapping[str, Any]) -> Path:
    """The archive's file, of the generation that the function names or the newest.

    Raises:
        ApiError: there is none.
    """
    build = function["buildConfig"]
    source = build["source"]["storageSource"]
    generation = int(source.get("generation") or 0)
    found = cloud.storage.find(source["bucket"], source["object"], generation or None)
    if found is None:
        where = f"gs://{source['bucket']}/{source['object']}{f'#{generation}' if generation else ''}"
        # The real service's wording is unknown beyond its beginning.
        raise ApiError("INVALID_ARGUMENT", f"Build failed: the source {where} doesn't exist.")
    build["sourceProvenance"] = {"resolvedStorageSource": {**source, "generation": str(found.generation)}}
    return found.path
