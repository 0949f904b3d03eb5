"""The services that are spoken to as plain JSON over HTTP: which path each of their methods has.

Paths are those of the services' own REST references. What a path takes is left out of the query.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import quote

Body = Literal["", "body", "*"]
"""What the request's JSON is: nothing, the parameter ``body``, or all that the path doesn't take."""


@dataclass(frozen=True, slots=True)
class Method:
    """One method of a service.

    Args:
        verb: of HTTP.
        path: with ``{name}`` for a parameter that is one part, ``{+name}`` for one with slashes.
        body: what the request's JSON is.
    """

    verb: str
    path: str
    body: Body = ""


@dataclass(frozen=True, slots=True)
class Request:
    """A method with its parameters put in."""

    verb: str
    path: str
    query: Mapping[str, Any]
    body: Any


HOSTS: Final = {
    "storage": "storage.googleapis.com",
    "logging": "logging.googleapis.com",
    "monitoring": "monitoring.googleapis.com",
    "iam": "iam.googleapis.com",
    "secretmanager": "secretmanager.googleapis.com",
    "artifactregistry": "artifactregistry.googleapis.com",
    "resourcemanager": "cloudresourcemanager.googleapis.com",
}
POLICIES: Final = {
    "GetIamPolicy": Method("GET", "/v1/{+resource}:getIamPolicy"),
    "SetIamPolicy": Method("POST", "/v1/{+resource}:setIamPolicy", "*"),
}
METHODS: Final[Mapping[str, Mapping[str, Method]]] = {
    "storage": {
        "GetBucket": Method("GET", "/storage/v1/b/{bucket}"),
        "CreateBucket": Method("POST", "/storage/v1/b", "body"),
        "PatchBucket": Method("PATCH", "/storage/v1/b/{bucket}", "body"),
        "DeleteBucket": Method("DELETE", "/storage/v1/b/{bucket}"),
        "ListBuckets": Method("GET", "/storage/v1/b"),
        "ListObjects": Method("GET", "/storage/v1/b/{bucket}/o"),
        "GetObject": Method("GET", "/storage/v1/b/{bucket}/o/{object}"),
        "DeleteObject": Method("DELETE", "/storage/v1/b/{bucket}/o/{object}"),
        "ComposeObject": Method("POST", "/storage/v1/b/{bucket}/o/{object}/compose", "body"),
        "GetIamPolicy": Method("GET", "/storage/v1/b/{bucket}/iam"),
        "SetIamPolicy": Method("PUT", "/storage/v1/b/{bucket}/iam", "body"),
    },
    "logging": {
        "ListEntries": Method("POST", "/v2/entries:list", "*"),
        "DeleteLog": Method("DELETE", "/v2/{+logName}"),
    },
    "monitoring": {
        "ListTimeSeries": Method("GET", "/v3/{+name}/timeSeries"),
        "ListAlertPolicies": Method("GET", "/v3/{+name}/alertPolicies"),
        "CreateAlertPolicy": Method("POST", "/v3/{+name}/alertPolicies", "body"),
        "UpdateAlertPolicy": Method("PATCH", "/v3/{+name}", "body"),
        "DeleteAlertPolicy": Method("DELETE", "/v3/{+name}"),
    },
    "iam": {
        "CreateServiceAccount": Method("POST", "/v1/{+name}/serviceAccounts", "*"),
        "GetServiceAccount": Method("GET", "/v1/{+name}"),
        "ListServiceAccounts": Method("GET", "/v1/{+name}/serviceAccounts"),
        "PatchServiceAccount": Method("PATCH", "/v1/{+name}", "*"),
        "DeleteServiceAccount": Method("DELETE", "/v1/{+name}"),
        "GetIamPolicy": Method("POST", "/v1/{+resource}:getIamPolicy"),
        "SetIamPolicy": Method("POST", "/v1/{+resource}:setIamPolicy", "*"),
    },
    "secretmanager": {"GetSecret": Method("GET", "/v1/{+name}"), **POLICIES},
    "artifactregistry": {
        "GetRepository": Method("GET", "/v1/{+name}"),
        "CreateRepository": Method("POST", "/v1/{+parent}/repositories", "body"),
        "PatchRepository": Method("PATCH", "/v1/{+name}", "body"),
        "DeleteRepository": Method("DELETE", "/v1/{+name}"),
        "ListDockerImages": Method("GET", "/v1/{+parent}/dockerImages"),
        "ListPackages": Method("GET", "/v1/{+parent}/packages"),
        "DeletePackage": Method("DELETE", "/v1/{+name}"),
        "ListVersions": Method("GET", "/v1/{+parent}/versions"),
        "DeleteVersion": Method("DELETE", "/v1/{+name}"),
        "GetOperation": Method("GET", "/v1/{+name}"),
        **POLICIES,
    },
    "resourcemanager": {
        "GetProject": Method("GET", "/v3/{+name}"),
        "GetIamPolicy": Method("POST", "/v3/{+resource}:getIamPolicy", "*"),
        "SetIamPolicy": Method("POST", "/v3/{+resource}:setIamPolicy", "*"),
    },
}
_TAKEN = re.compile(r"\{(\+?)(\w+)\}")


def request(service: str, method: str, params: Mapping[str, Any]) -> Request:
    """The HTTP request of one call.

    Raises:
        ValueError: no such method is known here, or a parameter of its path isn't given.
    """
    found = METHODS[service].get(method)
    if found is None:
        raise ValueError(f"{service} has no method {method!r} here; there are {sorted(METHODS[service])}")
    left = dict(params)

    def put(match: re.Match[str]) -> str:
        if match[2] not in left:
            raise ValueError(f"{service}.{method} needs the parameter {match[2]!r}")
        return quote(str(left.pop(match[2])), safe="/" if match[1] else "")

    path = _TAKEN.sub(put, found.path)
    if found.body == "*":
        return Request(found.verb, path, {}, left)
    body = left.pop("body", {}) if found.body else None
    return Request(found.verb, path, left, body)
