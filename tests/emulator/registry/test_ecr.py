"""Amazon ECR in the embedded cloud: repositories, and the images that were pushed to them."""

from __future__ import annotations

import base64
import json

import pytest
from botocore.exceptions import ClientError

from clouddeploy.errors import CloudError
from tests.emulator.registry.conftest import REGION, Images


def test_a_repository_has_a_uri_on_loopback_with_its_region_and_its_tags(images: Images) -> None:
    name, repository = images.repository(tags=[{"Key": "team", "Value": "a"}])
    found = images.ecr.describe_repositories(repositoryNames=[name])["repositories"][0]
    assert found["repositoryUri"] == f"{images.host}/{repository}"
    assert repository == f"{REGION}/{name}"
    assert images.ecr.list_tags_for_resource(resourceArn=found["repositoryArn"])["tags"] == [
        {"Key": "team", "Value": "a"}
    ]


def test_regions_have_repositories_of_their_own(images: Images) -> None:
    name, _ = images.repository()
    elsewhere = images.rig.client("ecr", "us-east-1")
    with pytest.raises(ClientError, match="RepositoryNotFoundException"):
        elsewhere.describe_images(repositoryName=name)
    uri = elsewhere.create_repository(repositoryName=name)["repository"]["repositoryUri"]
    assert uri == f"{images.host}/us-east-1/{name}"


def test_the_authorization_token_logs_in_to_the_registry(images: Images) -> None:
    data = images.ecr.get_authorization_token()["authorizationData"][0]
    assert data["proxyEndpoint"] == images.rig.emulator.url
    assert base64.b64decode(data["authorizationToken"]).decode().partition(":")[0] == "AWS"


def test_pushed_images_are_described_listed_and_got(images: Images) -> None:
    name, repository = images.repository()
    pushed = images.image().push(images.registry, repository, "v1")
    images.image().push(images.registry, repository, "v1-again")
    (detail,) = images.ecr.describe_images(repositoryName=name)["imageDetails"]
    assert (detail["imageDigest"], detail["imageTags"]) == (pushed.digest, ["v1", "v1-again"])
    assert detail["imageSizeInBytes"] > pushed.sent_bytes
    listed = images.ecr.list_images(repositoryName=name)["imageIds"]
    assert [one["imageTag"] for one in listed] == ["v1", "v1-again"]
    got = images.ecr.batch_get_image(
        repositoryName=name, imageIds=[{"imageTag": "v1"}, {"imageTag": "nothing"}]
    )
    assert got["images"][0]["imageId"]["imageDigest"] == pushed.digest
    assert json.loads(got["images"][0]["imageManifest"])["schemaVersion"] == 2
    assert got["failures"][0]["failureCode"] == "ImageNotFound"
    with pytest.raises(ClientError, match="ImageNotFoundException"):
        images.ecr.describe_images(repositoryName=name, imageIds=[{"imageTag": "nothing"}])


def test_listings_come_in_pages(images: Images) -> None:
    name, repository = images.repository()
    for tag in "abc":
        images.image({"app.py": f"# {tag}\n"}).push(images.registry, repository, tag)
    page = images.ecr.list_images(repositoryName=name, maxResults=2)
    rest = images.ecr.list_images(repositoryName=name, maxResults=2, nextToken=page["nextToken"])
    assert sorted(one["imageTag"] for one in page["imageIds"] + rest["imageIds"]) == ["a", "b", "c"]
    assert "nextToken" not in rest


def test_an_image_goes_with_its_last_tag(images: Images) -> None:
    name, repository = images.repository()
    digest = images.image().push(images.registry, repository, "a").digest
    images.image().push(images.registry, repository, "b")
    images.ecr.batch_delete_image(repositoryName=name, imageIds=[{"imageTag": "a"}])
    assert images.registry.manifest_digest(repository, digest) == digest
    answer = images.ecr.batch_delete_image(
        repositoryName=name, imageIds=[{"imageTag": "b"}, {"imageTag": "c"}]
    )
    assert answer["imageIds"] == [{"imageDigest": digest, "imageTag": "b"}]
    assert answer["failures"][0]["failureCode"] == "ImageNotFound"
    assert images.ecr.describe_images(repositoryName=name)["imageDetails"] == []


def test_an_image_goes_by_digest_with_all_its_tags(images: Images) -> None:
    name, repository = images.repository()
    digest = images.image().push(images.registry, repository, "a").digest
    images.image().push(images.registry, repository, "b")
    images.ecr.batch_delete_image(repositoryName=name, imageIds=[{"imageDigest": digest}])
    assert images.ecr.list_images(repositoryName=name)["imageIds"] == []


def test_an_image_gets_another_tag_by_its_manifest(images: Images) -> None:
    name, repository = images.repository()
    images.image().push(images.registry, repository, "a")
    got = images.ecr.batch_get_image(repositoryName=name, imageIds=[{"imageTag": "a"}])["images"][0]
    images.ecr.put_image(repositoryName=name, imageManifest=got["imageManifest"], imageTag="b")
    (detail,) = images.ecr.describe_images(repositoryName=name)["imageDetails"]
    assert detail["imageTags"] == ["a", "b"]
    _, other = images.repository()
    with pytest.raises(ClientError, match="LayersNotFoundException"):
        images.ecr.put_image(
            repositoryName=other.partition("/")[2], imageManifest=got["imageManifest"], imageTag="b"
        )


def test_a_repository_with_images_is_deleted_only_by_force(images: Images) -> None:
    name, repository = images.repository()
    images.image().push(images.registry, repository, "a")
    with pytest.raises(ClientError, match="RepositoryNotEmptyException"):
        images.ecr.delete_repository(repositoryName=name)
    images.ecr.delete_repository(repositoryName=name, force=True)
    with pytest.raises(ClientError, match="RepositoryNotFoundException"):
        images.ecr.describe_images(repositoryName=name)
    with pytest.raises(ClientError, match="RepositoryNotFoundException"):
        images.ecr.delete_repository(repositoryName=name)
    with pytest.raises(CloudError, match="has no repository"):
        images.image().push(images.registry, repository, "a")


def test_tags_of_an_immutable_repository_cant_be_moved(images: Images) -> None:
    _, repository = images.repository(imageTagMutability="IMMUTABLE")
    images.image().push(images.registry, repository, "a")
    images.image().push(images.registry, repository, "a")
    with pytest.raises(CloudError, match="400") as caught:
        images.image({"app.py": "x = 1\n"}).push(images.registry, repository, "a")
    assert "tag is immutable" in caught.value.why


def test_a_lifecycle_policy_is_kept_with_the_repository(images: Images) -> None:
    name, _ = images.repository()
    rule = {
        "rulePriority": 1,
        "selection": {
            "tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 1
        },
        "action": {"type": "expire"},
    }  # fmt: skip
    text = json.dumps({"rules": [rule]})
    images.ecr.put_lifecycle_policy(repositoryName=name, lifecyclePolicyText=text)
    kept = images.ecr.get_lifecycle_policy(repositoryName=name)["lifecyclePolicyText"]
    assert json.loads(kept) == json.loads(text)


def test_layers_are_asked_for_and_cant_be_sent_by_the_api(images: Images) -> None:
    name, repository = images.repository()
    images.image().push(images.registry, repository, "a")
    got = images.ecr.batch_get_image(repositoryName=name, imageIds=[{"imageTag": "a"}])["images"][0]
    layer = json.loads(got["imageManifest"])["layers"][0]["digest"]
    rows = images.ecr.batch_check_layer_availability(
        repositoryName=name, layerDigests=[layer, f"sha256:{'0' * 64}"]
    )["layers"]
    assert [row["layerAvailability"] for row in rows] == ["AVAILABLE", "UNAVAILABLE"]
    with pytest.raises(ClientError, match="by its registry alone"):
        images.ecr.initiate_layer_upload(repositoryName=name)
