"""Deploying, changing and removing functions that are made from images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clouddeploy.errors import CloudDeployError, NameConflict, SpecError
from clouddeploy.model import Model
from clouddeploy.providers.aws_lambda.options import Options
from tests.unit.aws_lambda_images.conftest import WISH, Bench


def test_the_plan_shows_record_repository_and_image_before_anything_is_made(
    bench: Bench, model: Model
) -> None:
    before = bench.inventory()
    text = str(bench.deployer().plan(model, "digits", **WISH))
    for line in ("+ image record", "+ image repository  clouddeploy/digits", "+ image  "):
        assert line in text
    assert not bench.changing()
    assert bench.inventory() == before


def test_a_deploy_pushes_an_image_and_makes_the_function_of_its_digest(bench: Bench, model: Model) -> None:
    bench.deploy(model)
    (image,) = bench.images()
    assert image.startswith("image/clouddeploy/digits:digits-")
    made = bench.runs()
    digest = bench.inventory()[image]
    assert made == f"{bench.host}/eu-west-1/clouddeploy/digits@{digest}"


def test_the_second_deploy_of_the_same_changes_nothing(bench: Bench, model: Model) -> None:
    bench.deploy(model)
    before = bench.inventory()
    bench.deploy(model)
    assert not bench.changing()
    assert not bench.sent()
    assert bench.inventory() == before


def test_a_new_model_sends_its_own_layer_alone(bench: Bench, model: Model, newer: Model) -> None:
    bench.deploy(model)
    first = len(bench.sent())
    bench.deploy(newer)
    # The requirements' and the code's layers are there: the model's, the configuration and the manifest go.
    assert bench.sent() == ["PUT blobs/uploads", "PUT blobs/uploads", "PUT manifests"]
    assert first > 3
    assert len(bench.images()) == 2


def test_a_rollback_builds_and_sends_nothing(bench: Bench, model: Model, newer: Model) -> None:
    bench.deploy(model)
    bench.deploy(newer)
    deployer = bench.deployer()
    deployer.endpoint("digits").rollback()
    assert not [call for call in bench.calls if call[0] in ("registry", "ecr")]
    assert bench.cloud.functions["digits"]["aliases"]["live"]["FunctionVersion"] == "1"


def test_images_go_with_the_releases_that_are_no_longer_kept(
    bench: Bench, model: Model, newer: Model, tmp_path: Path
) -> None:
    from clouddeploy.testing.models import linear_model

    bench.deploy(model)
    bench.deploy(newer)
    kept = bench.images()
    bench.deployer().deploy(linear_model(tmp_path, 3.0), "digits", keep_releases=1, **WISH)
    now = bench.images()
    assert len(now) == 2
    assert len(set(now) & set(kept)) == 1
    assert len([k for k in bench.inventory() if "/image/clouddeploy/digits" in k]) == 2


def test_a_delete_leaves_nothing(bench: Bench, model: Model, newer: Model) -> None:
    before = bench.inventory()
    bench.deploy(model)
    bench.deploy(newer)
    bench.deployer().delete("digits")
    assert bench.inventory() == before


def test_a_deployer_for_zips_deletes_images_too(bench: Bench, model: Model) -> None:
    before = bench.inventory()
    bench.deploy(model)
    bench.deployer(package="zip").delete("digits")
    assert bench.inventory() == before


def test_deployments_of_zips_never_ask_ecr(bench: Bench, model: Model) -> None:
    from tests.unit.aws_lambda.conftest import packed

    deployer = bench.deployer(package="zip", packager=packed)
    deployer.deploy(model, "digits", **WISH)
    deployer.delete("digits")
    assert not [call for call in bench.calls if call[0] in ("registry", "ecr")]


def test_two_deployments_have_repositories_of_their_own(bench: Bench, model: Model) -> None:
    bench.deploy(model)
    before = bench.inventory()
    bench.deploy(model, "digits-two")
    bench.deployer().delete("digits-two")
    assert bench.inventory() == before


def test_a_repository_of_somebody_else_is_left_alone(
    bench: Bench, model: Model, ecr: Callable[..., Any]
) -> None:
    ecr("CreateRepository", repositoryName="clouddeploy/digits")
    before = bench.inventory()
    with pytest.raises(NameConflict, match="image repository 'clouddeploy/digits' exists"):
        bench.deploy(model)
    assert bench.inventory() == before


def test_an_existing_repository_is_used_and_only_our_images_in_it_are_removed(
    bench: Bench, model: Model, newer: Model, ecr: Callable[..., Any]
) -> None:
    ecr("CreateRepository", repositoryName="team/models")
    bench.deploy(model, "other", repository="team/models")
    before = bench.inventory()
    bench.deploy(model, repository="team/models")
    bench.deploy(newer, repository="team/models")
    assert "image-repository/clouddeploy/digits" not in bench.inventory()
    assert len([image for image in bench.images() if ":digits-" in image]) == 2
    bench.deployer().delete("digits")
    assert bench.inventory() == before


def test_a_repository_that_isnt_there_is_named_and_nothing_is_left(bench: Bench, model: Model) -> None:
    before = bench.inventory()
    with pytest.raises(CloudDeployError) as caught:
        bench.deploy(model, repository="team/models")
    assert "team/models" in str(caught.value)
    assert bench.inventory() == before


def test_moving_to_another_repository_leaves_nothing_in_the_old_one(
    bench: Bench, model: Model, ecr: Callable[..., Any]
) -> None:
    ecr("CreateRepository", repositoryName="team/models")
    bench.deploy(model)
    deployer = bench.deployer(repository="team/models")
    deployer.deploy(model, "digits", keep_releases=0, **WISH)
    assert "image-repository/clouddeploy/digits" not in bench.inventory()
    assert all(image.startswith("image/team/models:") for image in bench.images())
    assert "/team/models@" in bench.runs()


def test_an_image_that_vanished_is_sent_again(bench: Bench, model: Model, ecr: Callable[..., Any]) -> None:
    bench.deploy(model)
    (image,) = bench.images()
    tag = image.rpartition(":")[2]
    ecr("BatchDeleteImage", repositoryName="clouddeploy/digits", imageIds=[{"imageTag": tag}])
    bench.deploy(model)
    assert bench.images() == [image]


def test_a_function_from_a_zip_cant_become_one_from_an_image(bench: Bench, model: Model) -> None:
    from tests.unit.aws_lambda.conftest import packed

    bench.deployer(package="zip", packager=packed).deploy(model, "digits", **WISH)
    before = bench.inventory()
    with pytest.raises(SpecError, match="package type Zip, and Image is wanted"):
        bench.deploy(model)
    assert bench.inventory() == before


def test_a_version_that_cant_start_never_serves_and_its_image_goes(
    bench: Bench, model: Model, newer: Model
) -> None:
    bench.deploy(model)
    before = bench.inventory()

    def failing(inner: Any) -> Any:
        def call(service: str, operation: str, params: Any) -> Any:
            if (service, operation) == ("lambda", "Invoke"):
                raise ConnectionResetError("the try fails")
            return inner(service, operation, params)

        return call

    with pytest.raises(CloudDeployError):
        bench.deployer(failing).deploy(newer, "digits", **WISH)
    after = bench.inventory()
    assert {k: v for k, v in after.items() if not k.startswith("version/")} == {
        k: v for k, v in before.items() if not k.startswith("version/")
    }


def test_the_image_is_written_as_an_archive_or_a_folder(bench: Bench, model: Model, tmp_path: Path) -> None:
    import tarfile

    deployer = bench.deployer()
    archive = deployer.package(model, tmp_path / "image.tar", architecture="arm64")
    folder = deployer.package(model, tmp_path / "image", architecture="arm64", compression="none")
    with tarfile.open(archive) as tar:
        names = {member.name for member in tar if member.isfile()}
    assert names == {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert {"oci-layout", "index.json"} <= names
    again = deployer.package(model, tmp_path / "again.tar", architecture="arm64")
    assert again.read_bytes() == archive.read_bytes()
    assert not bench.changing()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"image": "x.dkr/y:z", "package": "image"}, "package is 'image'"),
        ({"base_image": "python:3.13"}, "no image is built"),
        ({"repository": "team/x"}, "no image is built"),
        ({"repository": "Team/X", "package": "image"}, "repository is 'Team/X'"),
        ({"base_image": "no image!", "package": "image"}, "no name of an image"),
        ({"package": "tar"}, "package"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        Options(**options)


def test_a_base_image_that_isnt_there_is_told_before_anything_is_made(bench: Bench, model: Model) -> None:
    before = bench.inventory()
    with pytest.raises(CloudDeployError, match="holds no image"):
        bench.deploy(model, base_image=f"{bench.host}/lambda/python:2.7")
    assert bench.inventory() == before


def test_the_permissions_list_has_what_images_take(bench: Bench, model: Model, newer: Model) -> None:
    from clouddeploy.providers.aws.actions import iam_actions
    from clouddeploy.providers.aws_lambda import Lambda

    made = set()
    for which in (model, newer):
        bench.deployer().deploy(which, "digits", keep_releases=0, tags={"team": which.digest[:4]}, **WISH)
        made |= set(bench.calls)
    bench.deployer().delete("digits")
    made |= set(bench.calls)
    needed = {a for service, name in made if service == "ecr" for a in iam_actions(service, name)}
    actions = Lambda.permissions()["Statement"][0]["Action"]
    assert len(needed) > 6
    assert needed | {"ecr:PutImage", "ecr:SetRepositoryPolicy"} <= set(actions)
