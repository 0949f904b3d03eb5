"""Deploying, changing and removing endpoints whose image holds the model."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from clouddeploy.errors import CloudDeployError, NameConflict, SpecError
from clouddeploy.model import Model
from clouddeploy.providers.aws.image import ImagePackage, Packed
from clouddeploy.providers.aws.images import repository_name
from clouddeploy.providers.sagemaker import names
from clouddeploy.providers.sagemaker.options import Options
from clouddeploy.spec import Compute
from clouddeploy.testing.models import linear_model
from tests.unit.sagemaker_images.conftest import MACHINE, WISH, Bench, packed


def test_the_plan_shows_record_repository_and_image_before_anything_is_made(
    bench: Bench, model: Model
) -> None:
    before = bench.inventory()
    text = str(bench.deployer().plan(model, "digits", **WISH))
    for line in (
        "+ image record",
        "+ image repository  clouddeploy/sagemaker/digits",
        "+ image  ",
        "+ model",
    ):
        assert line in text
    assert "model data" not in text
    assert not bench.changing()
    assert bench.inventory() == before


def test_a_deploy_pushes_an_image_and_the_model_names_its_digest(bench: Bench, model: Model) -> None:
    bench.deploy(model)
    (image,) = bench.images()
    assert image.startswith("image/clouddeploy/sagemaker/digits:digits-")
    made = bench.container()
    assert made["Image"] == f"{bench.host}/eu-west-1/clouddeploy/sagemaker/digits@{bench.inventory()[image]}"
    assert "ModelDataUrl" not in made
    assert "ModelDataSource" not in made


def test_the_image_gets_the_servers_settings_and_the_users_variables(bench: Bench, model: Model) -> None:
    wish = {
        "compute": Compute(instance=MACHINE, timeout_s=20),
        "env": {"CLOUDDEPLOY_SERVE_MAX_BATCH": "8"},
    }
    bench.deploy(model, wish=wish)
    told = bench.ask()
    assert told["weights"] == model.digest
    variables = told["variables"]
    assert variables["CLOUDDEPLOY_SERVE_MAX_BATCH"] == "8"
    assert variables["CLOUDDEPLOY_SERVE_TIMEOUT_MS"] == "20000"


def test_the_second_deploy_of_the_same_changes_nothing(bench: Bench, model: Model) -> None:
    bench.deploy(model)
    before = bench.inventory()
    bench.deploy(model)
    assert not bench.changing()
    assert not bench.sent()
    assert bench.inventory() == before


def test_a_new_model_sends_its_own_layer_alone(bench: Bench, model: Model, newer: Model) -> None:
    bench.deploy(model)
    bench.deploy(newer)
    assert bench.sent() == ["PUT blobs/uploads", "PUT blobs/uploads", "PUT manifests"]
    assert len(bench.images()) == 2
    assert bench.ask()["weights"] == newer.digest


def test_a_rollback_builds_and_sends_nothing(bench: Bench, model: Model, newer: Model) -> None:
    bench.deploy(model)
    bench.deploy(newer)
    bench.deployer().endpoint("digits").rollback()
    assert not [call for call in bench.calls if call[0] in ("registry", "ecr")]
    assert bench.ask()["weights"] == model.digest


def test_images_go_with_the_releases_that_are_no_longer_kept(
    bench: Bench, model: Model, newer: Model, tmp_path: Path
) -> None:
    bench.deploy(model)
    bench.deploy(newer)
    kept = bench.images()
    bench.deployer().deploy(linear_model(tmp_path, 3.0), "digits", keep_releases=1, **WISH)
    now = bench.images()
    assert len(now) == 2
    assert len(set(now) & set(kept)) == 1
    assert len([k for k in bench.inventory() if "/image/clouddeploy/sagemaker/digits" in k]) == 2


def test_a_delete_leaves_nothing(bench: Bench, model: Model, newer: Model) -> None:
    before = bench.inventory()
    bench.deploy(model)
    bench.deploy(newer)
    bench.deployer().delete("digits")
    assert bench.inventory() == before


def test_a_deployer_for_model_data_deletes_images_too(bench: Bench, model: Model) -> None:
    before = bench.inventory()
    bench.deploy(model)
    bench.deployer(package="model-data").delete("digits")
    assert bench.inventory() == before


def test_deployments_of_model_data_never_ask_ecr(bench: Bench, model: Model) -> None:
    deployer = bench.deployer(package="model-data")
    deployer.deploy(model, "digits", **WISH)
    deployer.delete("digits")
    assert not [call for call in bench.calls if call[0] in ("registry", "ecr")]


def test_from_model_data_to_an_image_and_back_every_release_can_be_restored(
    bench: Bench, model: Model, newer: Model
) -> None:
    before = bench.inventory()
    bench.deploy(model, package="model-data")
    bench.deploy(newer)
    assert bench.ask()["weights"] == newer.digest
    bench.deployer().endpoint("digits").rollback()
    assert "ModelDataUrl" in bench.container() or "ModelDataSource" in bench.container()
    bench.deploy(model, package="model-data")
    bench.deployer(package="model-data").endpoint("digits").rollback()
    assert bench.ask()["weights"] == newer.digest
    bench.deployer().delete("digits")
    assert bench.inventory() == before


def test_images_of_dropped_releases_go_when_model_data_is_deployed(
    bench: Bench, model: Model, newer: Model
) -> None:
    bench.deploy(model)
    bench.deployer(package="model-data").deploy(newer, "digits", keep_releases=0, **WISH)
    assert not bench.images()
    assert not [k for k in bench.inventory() if "clouddeploy/sagemaker" in k and "role" not in k]


def test_the_role_may_fetch_the_image_and_nothing_else_of_ecr(bench: Bench, model: Model) -> None:
    bench.deploy(model)
    name = "clouddeploy-eu-west-1-digits"
    answer = bench.aws("iam", "GetRolePolicy", RoleName=name, PolicyName="clouddeploy")["PolicyDocument"]
    policy = json.loads(answer) if isinstance(answer, str) else answer
    ecr = [s for s in policy["Statement"] if any(a.startswith("ecr:") for a in s["Action"])]
    assert {a for s in ecr for a in s["Action"]} == {
        "ecr:GetAuthorizationToken",
        "ecr:BatchGetImage",
        "ecr:GetDownloadUrlForLayer",
        "ecr:BatchCheckLayerAvailability",
    }
    (pulled,) = [s["Resource"] for s in ecr if "ecr:BatchGetImage" in s["Action"]]
    own = "arn:aws:ecr:eu-west-1:123456789012:repository/clouddeploy/sagemaker/digits"
    theirs = "arn:aws:ecr:eu-west-1:763104351884:repository/pytorch-inference"
    assert pulled == [own, theirs, f"{theirs}-arm64"]


def test_an_image_that_somebody_deleted_is_sent_anew(bench: Bench, model: Model) -> None:
    bench.deploy(model)
    before = bench.inventory()
    tag = bench.images()[0].rpartition(":")[2]
    repository = "clouddeploy/sagemaker/digits"
    bench.aws("ecr", "BatchDeleteImage", repositoryName=repository, imageIds=[{"imageTag": tag}])
    bench.deploy(model)
    assert bench.inventory() == before


def test_a_repository_of_somebody_else_is_left_alone(bench: Bench, model: Model) -> None:
    bench.aws("ecr", "CreateRepository", repositoryName="clouddeploy/sagemaker/digits")
    before = bench.inventory()
    with pytest.raises(NameConflict, match="image repository 'clouddeploy/sagemaker/digits' exists"):
        bench.deploy(model)
    assert bench.inventory() == before


def test_images_can_lie_in_a_repository_of_the_users(bench: Bench, model: Model, newer: Model) -> None:
    bench.aws("ecr", "CreateRepository", repositoryName="team/models")
    before = bench.inventory()
    bench.deploy(model, repository="team/models")
    bench.deploy(newer, repository="team/models")
    assert len(bench.images()) == 2
    assert bench.ask()["weights"] == newer.digest
    bench.deployer().delete("digits")
    assert bench.inventory() == before


def test_lambda_and_sagemaker_have_repositories_of_their_own() -> None:
    assert names.repository("digits") != repository_name("digits")


def test_a_start_that_fails_leaves_nothing_and_shows_the_log(bench: Bench, model: Model) -> None:
    def broken(*args: object, **options: object) -> ImagePackage:
        made = packed(*args, **options)  # type: ignore[arg-type]
        return Packed(replace(made.image, entrypoint=("python", "-c", "import not_there")), ())

    before = bench.inventory()
    with pytest.raises(CloudDeployError) as caught:
        bench.deploy(model, image_packager=broken)
    assert "No module named 'not_there'" in str(caught.value)
    assert {k for k in bench.inventory() if "log-group" not in k} == set(before)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"package": "zip"}, "package"),
        ({"package": "image", "image": "host/x:1"}, "the one names a finished image"),
        ({"repository": "team/x"}, "no image is built"),
        ({"base_image": "python:3.13-slim"}, "no image is built"),
        ({"package": "image", "repository": "Team/x"}, "as ECR has it"),
        ({"package": "image", "python": "3"}, "expected a version"),
        ({"package": "image", "form": "jax"}, "form"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(options: dict[str, str], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        Options(**options)  # type: ignore[arg-type]


def test_the_image_can_be_written_as_an_archive_or_a_layout_with_ocis_media_types(
    bench: Bench, model: Model, tmp_path: Path
) -> None:
    deployer = bench.deployer()
    folder = deployer.package(model, tmp_path / "image", compression="none")
    index = json.loads((folder / "index.json").read_text())
    assert index["manifests"][0]["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
    archive = deployer.package(model, tmp_path / "image.tar")
    assert archive.is_file()
    assert not bench.changing()
