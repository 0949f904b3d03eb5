"""Function URLs: their configuration (CreateFunctionUrlConfig and its kin, Lambda API Reference).

Where the cloud has a host name for each URL, the embedded cloud has a path on loopback, which every
client can reach: ``http://127.0.0.1:PORT/_lambda_url/ID/``. `url_calls` answers there.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from clouddeploy.emulator.backends import functions
from clouddeploy.emulator.call import Call
from clouddeploy.emulator.functions.describing import page
from clouddeploy.emulator.functions.names import absent, conflict, invalid, named, only_name, resolve

if TYPE_CHECKING:
    from clouddeploy.emulator.cloud import Cloud

PREFIX = "/_lambda_url/"
LETTERS = "abcdefghijklmnopqrstuvwxyz234567"
METHODS = frozenset({"GET", "PUT", "HEAD", "POST", "PATCH", "DELETE", "*"})


@dataclass
class Url:
    """One function URL.

    Args:
        region, name, qualifier: what it invokes; no qualifier is ``$LATEST``.
        auth: ``AWS_IAM`` or ``NONE``.
        cors: its Cors member.
        mode: ``BUFFERED`` or ``RESPONSE_STREAM``.
    """

    region: str
    name: str
    qualifier: str
    auth: str
    cors: dict[str, Any] = field(default_factory=dict)
    mode: str = "BUFFERED"
    identity: str = field(default_factory=lambda: "".join(secrets.choice(LETTERS) for _ in range(32)))
    created: float = field(default_factory=time.time)
    modified: float = field(default_factory=time.time)

    def describe(self, base: str) -> dict[str, Any]:
        """As the API shows it."""
        told: dict[str, Any] = {
            "FunctionUrl": f"{base}{PREFIX}{self.identity}/",
            "FunctionArn": functions.arn_of(self.region, self.name, self.qualifier),
            "AuthType": self.auth,
            "InvokeMode": self.mode,
            "CreationTime": _written(self.created),
            "LastModifiedTime": _written(self.modified),
        }
        return {**told, "Cors": self.cors} if self.cors else told


def _written(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at % 1 * 1e9):09d}Z"


def _urls(region: str, name: str) -> dict[str, Url]:
    found: dict[str, Url] = functions.shared(region, name).setdefault("urls", {})
    return found


def find(identity: str) -> Url | None:
    """The URL of that id, in any region."""
    for region in functions.regions():
        for function in functions.everything(region):
            for url in _urls(region, function.name).values():
                if url.identity == identity:
                    return url
    return None


def forget(region: str, name: str, qualifier: str) -> None:
    """Take away an alias's URL."""
    _urls(region, name).pop(qualifier, None)


def _get(call: Call) -> Url:
    name, qualifier = named(call)
    resolve(call.region, name, qualifier)
    found = _urls(call.region, name).get(qualifier)
    if found is None:
        raise absent("The resource you requested does not exist.")
    return found


def _cors(wish: dict[str, Any]) -> dict[str, Any]:
    cors: dict[str, Any] = {k: v for k, v in (wish.get("Cors") or {}).items() if v is not None}
    unknown = sorted(set(cors.get("AllowMethods", [])) - METHODS)
    if unknown:
        raise invalid(f"Invalid AllowMethods in Cors: {unknown[0]}. Allowed: {', '.join(sorted(METHODS))}")
    if cors.get("AllowCredentials") and "*" in cors.get("AllowOrigins", []):
        raise invalid("AllowCredentials is not supported when AllowOrigins is *")
    return cors


def create(cloud: Cloud, call: Call) -> dict[str, Any]:
    """CreateFunctionUrlConfig, for ``$LATEST`` or an alias."""
    wish, (name, qualifier) = call.params, named(call)
    resolve(call.region, name, qualifier)
    urls = _urls(call.region, name)
    if qualifier in urls:
        arn = functions.arn_of(call.region, name, qualifier)
        raise conflict(
            f"Failed to create function url config for [functionArn = {arn}]. Error message:  "
            "FunctionUrlConfig exists for this Lambda function"
        )
    mode = wish.get("InvokeMode", "BUFFERED")
    url = urls[qualifier] = Url(call.region, name, qualifier, wish["AuthType"], _cors(wish), mode)
    return url.describe(cloud.url)


def get(cloud: Cloud, call: Call) -> dict[str, Any]:
    """GetFunctionUrlConfig."""
    return _get(call).describe(cloud.url)


def listing(cloud: Cloud, call: Call) -> dict[str, Any]:
    """ListFunctionUrlConfigs."""
    found = [url.describe(cloud.url) for _, url in sorted(_urls(call.region, only_name(call)).items())]
    return page(found, "FunctionUrlConfigs", call.params)


def update(cloud: Cloud, call: Call) -> dict[str, Any]:
    """UpdateFunctionUrlConfig: what isn't given stays."""
    wish, url = call.params, _get(call)
    if "Cors" in wish:
        url.cors = _cors(wish)
    url.auth, url.mode = wish.get("AuthType", url.auth), wish.get("InvokeMode", url.mode)
    url.modified = time.time()
    return url.describe(cloud.url)


def delete(_: Cloud, call: Call) -> dict[str, Any]:
    """DeleteFunctionUrlConfig."""
    url = _get(call)
    forget(url.region, url.name, url.qualifier)
    return {}
