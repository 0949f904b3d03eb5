"""Amazon ECR: repositories by its API, whose images come and go by the registry on loopback.

A repository's URI is ``127.0.0.1:<port>/<region>/<name>``; the region stands in the path, as hosts by
region can't be had on loopback. moto keeps repositories, tags and policies; what tells of images is
here (Amazon ECR API Reference).
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from clouddeploy.emulator.backends import repositories
from clouddeploy.emulator.backends.turns import turn
from clouddeploy.emulator.call import Call, Refused
from clouddeploy.emulator.http.message import Response
from clouddeploy.emulator.registry.refusals import RegistryRefused
from clouddeploy.emulator.registry.spaces import Space
from clouddeploy.emulator.registry.store import Manifest, Repository
from clouddeploy.emulator.settings import ACCOUNT

if TYPE_CHECKING:
    from clouddeploy.emulator.cloud import Cloud

REGION = re.compile(r"(?P<region>[a-z]{2}(?:-[a-z]+)+-\d)/(?P<name>.+)\Z")
URI = re.compile(r"(?P<host>[^/]+)/(?P<path>[^@:]+)(?::(?P<tag>[\w][\w.-]*))?(?:@(?P<digest>sha256:\w{64}))?")
HOST = re.compile(rf"{ACCOUNT}\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com")
USER, PASSWORD = "AWS", "embedded-cloud"
TOKEN_S = 12 * 3600
PAGE = 100
Answer = dict[str, Any]


def stored(region: str, name: str) -> str:
    """What the registry calls ECR's repository `name` of a region."""
    return f"{region}/{name}"


def is_own(cloud: Cloud, uri: str) -> bool:
    """Whether an image's URI names this account's registry: by its address here, or as AWS has it."""
    host = uri.partition("/")[0]
    return host == cloud.url.partition("://")[2] or HOST.fullmatch(host) is not None


def locate(cloud: Cloud, region: str, uri: str) -> tuple[str, str] | None:
    """What the registry calls the repository that an image's URI names, and the tag or digest.

    None for a URI that isn't one, another registry, or another region than `region`.
    """
    match = URI.fullmatch(uri)
    if match is None or not is_own(cloud, uri):
        return None
    aws, path = HOST.fullmatch(match["host"]), match["path"]
    if aws is not None:
        path = stored(region, path) if aws["region"] == region else ""
    if not path.startswith(f"{region}/"):
        return None
    return path, match["digest"] or match["tag"] or "latest"


def resolved(uri: str, digest: str) -> str:
    """An image's URI with `digest` in place of its tag."""
    start, _, name = uri.partition("@")[0].rpartition("/")
    return f"{start}/{name.partition(':')[0]}@{digest}"


def space() -> Space:
    """ECR's repositories. Pushing and pulling takes a token of GetAuthorizationToken."""
    return Space(
        owns=lambda name: REGION.match(name) is not None,
        exists=lambda name: repositories.exists(*_split(name)),
        admits=lambda authorization, _name, _pushing: _is_token(authorization),
        challenge='Basic realm="ECR of the embedded cloud",service="ecr.amazonaws.com"',
        frozen=lambda name: repositories.is_immutable(*_split(name)),
        missing=lambda name: _missing(_split(name)[1]).message,
    )


def _split(name: str) -> tuple[str, str]:
    match = REGION.match(name)
    return (match["region"], match["name"]) if match else ("", "")


def _is_token(authorization: str) -> bool:
    kind, _, value = authorization.partition(" ")
    try:
        return kind == "Basic" and base64.b64decode(value).decode() == f"{USER}:{PASSWORD}"
    except (binascii.Error, UnicodeDecodeError):
        return False


def _missing(name: str) -> Refused:
    return Refused(
        f"The repository with name '{name}' does not exist in the registry with id '{ACCOUNT}'",
        code="RepositoryNotFoundException",
    )


def authorize(cloud: Cloud, _: Call) -> Answer:
    """GetAuthorizationToken."""
    token = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    until = time.time() + TOKEN_S
    return {
        "authorizationData": [
            {"authorizationToken": token, "expiresAt": until, "proxyEndpoint": cloud.url},
        ]
    }


def create(cloud: Cloud, call: Call) -> Response:
    """CreateRepository: moto's, with a URI of ours."""
    with turn("ecr"):
        found = cloud.moto(call.request)
        repositories.name_uris(call.region, _start(cloud, call))
    if found.status != 200:
        return found
    told = json.loads(found.body)
    told["repository"]["repositoryUri"] = f"{_start(cloud, call)}/{call.params['repositoryName']}"
    return Response(200, found.headers, json.dumps(told).encode())


def describe(cloud: Cloud, call: Call) -> None:
    """DescribeRepositories: moto's, with URIs of ours."""
    with turn("ecr"):
        repositories.name_uris(call.region, _start(cloud, call))


def _start(cloud: Cloud, call: Call) -> str:
    return f"{cloud.url.partition('://')[2]}/{call.region}"


def delete(cloud: Cloud, call: Call) -> None:
    """DeleteRepository: one that holds images only with ``force``."""
    name = _named(call)
    held = cloud.registry.repository(stored(call.region, name))
    if held.manifests and not call.params.get("force"):
        raise Refused(
            f"The repository with name '{name}' in registry with id '{ACCOUNT}' cannot be deleted because it "
            "still contains images",
            code="RepositoryNotEmptyException",
        )
    cloud.registry.drop(stored(call.region, name))


def _named(call: Call) -> str:
    name = str(call.params.get("repositoryName"))
    if not repositories.exists(call.region, name):
        raise _missing(name)
    return name


def _held(cloud: Cloud, call: Call) -> tuple[str, Repository]:
    """The call's repository in the registry: its name there, and what it holds."""
    name = stored(call.region, _named(call))
    return name, cloud.registry.repository(name)


def _find(held: Repository, wanted: Mapping[str, Any]) -> Manifest | None:
    """The image that an ``imageId`` names."""
    found = held.find(str(wanted.get("imageDigest") or wanted.get("imageTag") or ""))
    tag = wanted.get("imageTag")
    if found is not None and tag and held.tags.get(str(tag)) != found.digest:
        return None
    return found


def _chosen(held: Repository, call: Call) -> list[Manifest]:
    """The images that a listing asks for, newest first."""
    status = (call.params.get("filter") or {}).get("tagStatus", "ANY")
    images = sorted(held.manifests.values(), key=lambda one: -one.pushed_at)
    tagged = {image.digest for image in images if held.tags_of(image.digest)}
    return [i for i in images if status == "ANY" or (i.digest in tagged) == (status == "TAGGED")]


def describe_images(cloud: Cloud, call: Call) -> Answer:
    """DescribeImages."""
    name, held = _held(cloud, call)
    wanted = call.params.get("imageIds")
    found = _chosen(held, call) if wanted is None else [_required(held, one, call) for one in wanted]
    rows = []
    for image in found:
        stored_image = cloud.registry.image(name, image.digest)
        row: Answer = {
            "registryId": ACCOUNT,
            "repositoryName": call.params["repositoryName"],
            "imageDigest": image.digest,
            "imageSizeInBytes": stored_image.size if stored_image else len(image.content),
            "imagePushedAt": image.pushed_at,
            "imageManifestMediaType": image.media_type,
        }
        tags = held.tags_of(image.digest)
        rows.append({**row, "imageTags": tags} if tags else row)
    return _page(rows, "imageDetails", call)


def _required(held: Repository, wanted: Mapping[str, Any], call: Call) -> Manifest:
    found = _find(held, wanted)
    if found is None:
        digest, tag = wanted.get("imageDigest", "null"), wanted.get("imageTag", "null")
        raise Refused(
            f"The image with imageId {{imageDigest:'{digest}', imageTag:'{tag}'}} does not exist within the "
            f"repository with name '{call.params['repositoryName']}' in the registry with id '{ACCOUNT}'",
            code="ImageNotFoundException",
        )
    return found


def list_images(cloud: Cloud, call: Call) -> Answer:
    """ListImages: one entry a tag."""
    _, held = _held(cloud, call)
    rows: list[Answer] = []
    for image in _chosen(held, call):
        digest = {"imageDigest": image.digest}
        rows += [{**digest, "imageTag": tag} for tag in held.tags_of(image.digest)] or [digest]
    return _page(rows, "imageIds", call)


def _page(rows: list[Answer], member: str, call: Call) -> Answer:
    start = str(call.params.get("nextToken") or 0)
    if not start.isdigit():
        raise Refused("Invalid token", code="InvalidParameterException")
    stop = int(start) + int(call.params.get("maxResults") or PAGE)
    more = {"nextToken": str(stop)} if stop < len(rows) else {}
    return {member: rows[int(start) : stop], **more}


def get_images(cloud: Cloud, call: Call) -> Answer:
    """BatchGetImage: the manifests."""
    _, held = _held(cloud, call)
    images, failures = [], []
    for wanted in call.params.get("imageIds") or ():
        found = _find(held, wanted)
        if found is None:
            failures.append(_failure(wanted))
            continue
        images.append(
            {
                "registryId": ACCOUNT,
                "repositoryName": call.params["repositoryName"],
                "imageId": {**wanted, "imageDigest": found.digest},
                "imageManifest": found.content.decode(),
                "imageManifestMediaType": found.media_type,
            }
        )
    return {"images": images, "failures": failures}


def _failure(wanted: Mapping[str, Any]) -> Answer:
    reason = "Requested image not found"
    return {"imageId": dict(wanted), "failureCode": "ImageNotFound", "failureReason": reason}


def delete_images(cloud: Cloud, call: Call) -> Answer:
    """BatchDeleteImage: by tag the tag goes, and the image with its last one."""
    name, held = _held(cloud, call)
    gone, failures = [], []
    for wanted in call.params.get("imageIds") or ():
        found = _find(held, wanted)
        if found is None:
            failures.append(_failure(wanted))
            continue
        tags = [wanted["imageTag"]] if wanted.get("imageTag") else held.tags_of(found.digest)
        gone += [{"imageDigest": found.digest, "imageTag": tag} for tag in tags]
        gone += [] if tags else [{"imageDigest": found.digest}]
        for tag in tags:
            cloud.registry.untag(name, str(tag))
        if not wanted.get("imageTag") or not held.tags_of(found.digest):
            cloud.registry.remove(name, found.digest)
    return {"imageIds": gone, "failures": failures}


def put_image(cloud: Cloud, call: Call) -> Answer:
    """PutImage: a manifest whose layers are there, under another tag."""
    name, _ = _held(cloud, call)
    content = str(call.params["imageManifest"]).encode()
    try:
        wanted = call.params.get("imageTag") or call.params.get("imageDigest")
        made = cloud.registry.put(name, str(wanted), content, str(call.params.get("imageManifestMediaType")))
    except RegistryRefused as error:
        code = {"TAG_INVALID": "ImageTagAlreadyExistsException"}.get(error.code, "LayersNotFoundException")
        raise Refused(error.message, code=code) from error
    image = {"imageDigest": made.digest, "imageTag": call.params.get("imageTag")}
    return {
        "image": {
            "registryId": ACCOUNT,
            "repositoryName": call.params["repositoryName"],
            "imageId": {k: v for k, v in image.items() if v},
            "imageManifest": content.decode(),
            "imageManifestMediaType": made.media_type,
        }
    }


def check_layers(cloud: Cloud, call: Call) -> Answer:
    """BatchCheckLayerAvailability."""
    _, held = _held(cloud, call)
    wanted = call.params.get("layerDigests") or ()
    rows = [
        {"layerDigest": one, "layerAvailability": "AVAILABLE" if one in held.blobs else "UNAVAILABLE"}
        for one in wanted
    ]
    return {"layers": rows, "failures": []}


def not_by_call(cloud: Cloud, call: Call) -> Answer:
    """InitiateLayerUpload and the like, by which Docker's registry protocol is served in AWS."""
    raise Refused(
        f"the embedded cloud takes and gives layers by its registry alone: {_start(cloud, call)}/…",
        code="InvalidParameterException",
    )
