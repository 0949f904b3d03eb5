"""The whole way with osls on the embedded cloud: deploy, real predictions, deploy again, remove."""

from __future__ import annotations

import json
import re

import numpy as np

from tests.serverless.conftest import Osls, packager

FUNCTION = "digits-dev"


def images(count: int) -> np.ndarray:
    """Images as the net takes them."""
    return np.random.default_rng(count).uniform(0, 1, size=(count, 8, 8)).astype(np.float32)


def shares(batch: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """What net and handler make of images."""
    scores = batch.reshape(len(batch), 64) @ weights
    found = np.exp(scores - scores.max(axis=1, keepdims=True))
    return found / found.sum(axis=1, keepdims=True)


def test_deploy_predict_deploy_again_change_roll_back_and_remove(osls: Osls, weights: np.ndarray) -> None:
    before = osls.left()
    assert "Service deployed to stack digits-dev" in osls.run("deploy")
    batch = images(3)
    status, answer = osls.ask(batch.tolist())
    assert status == 200, answer
    np.testing.assert_allclose(answer["predictions"], shares(batch, weights), rtol=1e-5)
    assert osls.ask(batch.tolist(), signed=False) == (403, {"message": "Forbidden"})
    assert osls.ask("x")[0] == 400
    # osls shortens what the platform writes: START, END and REPORT.
    assert "END Duration: " in osls.run("logs", "--function", "predict")

    assert "No changes to deploy" in osls.run("deploy")
    versions = osls.client("lambda").list_versions_by_function(FunctionName=FUNCTION)["Versions"]
    assert [v["Version"] for v in versions] == ["$LATEST", "1"]

    handler = osls.folder / "model" / "handler.py"
    handler.write_text(handler.read_text().replace("return shares /", "return 2 * shares /"))
    assert "Service deployed to stack digits-dev" in osls.run("deploy")
    status, answer = osls.ask(batch.tolist())
    assert status == 200, answer
    np.testing.assert_allclose(answer["predictions"], 2 * shares(batch, weights), rtol=1e-5)

    first = re.search(r"Timestamp: (\d+)", osls.run("deploy", "list"))
    assert first is not None
    osls.run("rollback", "--timestamp", first[1])
    np.testing.assert_allclose(osls.ask(batch.tolist())[1]["predictions"], shares(batch, weights), rtol=1e-5)

    assert "has been successfully removed" in osls.run("remove")
    assert osls.left() == before
    assert osls.hosts() <= {"127.0.0.1"}


def test_a_stage_with_provisioned_concurrency_serves_through_its_alias_and_is_removed(
    osls: Osls, weights: np.ndarray
) -> None:
    before = osls.left()
    osls.run("deploy", "--stage", "staging")
    found = osls.client("lambda").get_provisioned_concurrency_config(
        FunctionName="digits-staging", Qualifier="provisioned"
    )
    assert (found["Status"], found["AllocatedProvisionedConcurrentExecutions"]) == ("READY", 1)
    batch = images(1)
    status, answer = osls.ask(batch.tolist())
    assert status == 200, answer
    np.testing.assert_allclose(answer["predictions"], shares(batch, weights), rtol=1e-5)
    osls.run("remove", "--stage", "staging")
    assert osls.left() == before


def test_the_log_of_a_broken_handler_is_shown(osls: Osls) -> None:
    handler = osls.folder / "model" / "handler.py"
    handler.write_text("raise RuntimeError('no weights today')\n")
    osls.run("deploy")
    data = json.dumps({"inputs": images(1).tolist()})
    output = osls.run("invoke", "--function", "predict", "--log", "--data", data, fails=True)
    assert "no weights today" in output
    assert osls.ask(images(1).tolist()) == (500, {"message": "Internal Server Error"})


def test_a_deploy_that_lambda_refuses_is_rolled_back_and_can_be_repeated(osls: Osls) -> None:
    good = (osls.folder / "clouddeploy").read_text()
    packager(osls.folder, "open(sys.argv[sys.argv.index('--out') + 1], 'w').write('no zip')")
    output = osls.run("deploy", fails=True)
    assert "PredictLambdaFunction" in output
    assert "unzip" in output
    assert osls.left()["functions"] == []
    (osls.folder / "clouddeploy").write_text(good)
    osls.run("deploy")
    assert osls.ask(images(1).tolist())[0] == 200
