"""The data plane: what was uploaded runs, in isolation, as SageMaker would run it."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.emulator.conftest import IMAGE, TIMES, Rig, archive, code, refused

ECHO = """
import json, os, sys
def model_fn(model_dir):
    return model_dir
def input_fn(body, content_type):
    return {"type": type(body).__name__, "content_type": content_type}
def predict_fn(data, model):
    return {**data, "files": sorted(os.listdir(model)), "env": dict(os.environ), "path": sys.path}
def output_fn(prediction, accept):
    return json.dumps({**prediction, "accept": accept}), accept
"""
BOOM = """
import os
def model_fn(model_dir): return None
def input_fn(body, content_type): return body
def predict_fn(data, model):
    if data == "die":
        import ctypes
        ctypes.string_at(0)
    if data == "raise": raise ValueError("boom in predict")
    if data == "sleep":
        import time
        time.sleep(30)
    return str(os.getpid())
def output_fn(prediction, accept): return prediction
"""
CONTEXT = """
import json
def model_fn(model_dir, context): return context.system_properties["model_dir"] == model_dir
def input_fn(body, content_type, context): return body
def predict_fn(data, model, context):
    if data == "bad":
        context.set_response_status(400, "bad input")
        return {"error": "bad input"}
    return {"ok": model, "custom": context.get_request_header(0, "X-Amzn-SageMaker-Custom-Attributes")}
def output_fn(prediction, accept, context):
    context.set_response_header(0, "X-Amzn-SageMaker-Custom-Attributes", "from-model")
    return json.dumps(prediction)
"""


def send(rig: Rig, endpoint: str, body: Any, **more: Any) -> dict[str, Any]:
    """One invocation; the answer with its body read."""
    answer = rig.runtime.invoke_endpoint(EndpointName=endpoint, Body=body, **more)
    return {**answer, "Body": answer["Body"].read()}


@pytest.fixture(scope="module")
def echo(rig: Rig) -> str:
    """An endpoint that tells what its process sees."""
    return rig.endpoint(rig.config(rig.model(code(ECHO, weights="1"), env={"MY_SETTING": "yes"})))


@pytest.mark.parametrize(
    ("content_type", "kind"),
    [
        ("application/json", "str"),
        ("text/csv", "str"),
        ("application/x-npy", "bytes"),
        ("image/png", "bytes"),
    ],
)
def test_json_and_csv_reach_the_handler_as_text_and_all_else_as_bytes(
    rig: Rig, echo: str, content_type: str, kind: str
) -> None:
    """sagemaker-inference toolkit, ``Transformer.transform``: UTF8_TYPES are decoded."""
    found = json.loads(send(rig, echo, b"[1]", ContentType=content_type)["Body"])
    assert (found["type"], found["content_type"]) == (kind, content_type)


def test_any_accept_means_the_default_one(rig: Rig, echo: str) -> None:
    """sagemaker-inference toolkit, ``Environment.default_accept``: application/json."""
    assert json.loads(send(rig, echo, b"x", Accept="*/*")["Body"])["accept"] == "application/json"
    found = send(rig, echo, b"x", Accept="text/csv")
    assert found["ContentType"] == "text/csv"


def test_the_process_sees_the_models_settings_and_none_of_the_users(rig: Rig, echo: str) -> None:
    """API_ContainerDefinition, "Environment"; the user's own variables don't exist in the cloud."""
    found = json.loads(send(rig, echo, b"x")["Body"])
    env = found["env"]
    assert env["MY_SETTING"] == "yes"
    assert env["AWS_ENDPOINT_URL"] == rig.emulator.url
    assert env["AWS_REGION"] == "eu-west-1"
    assert found["files"] == ["code", "weights"]
    assert env["HOME"] != os.environ.get("HOME")
    assert {"PYTHONPATH", "PIP_FIND_LINKS", "CLOUDDEPLOY_CACHE_DIR", "PYTEST_CURRENT_TEST"}.isdisjoint(env)


@pytest.mark.parametrize(
    "module", ["clouddeploy.spec", "moto", "pytest", "rich", "hypothesis", "tests.emulator"]
)
def test_what_the_base_image_lacks_can_not_be_imported(rig: Rig, module: str) -> None:
    """AWS Deep Learning Containers, pytorch-inference Dockerfile: these aren't in the image."""
    name = rig.fresh("endpoint")
    config = rig.config(rig.model(code(f"import {module}\n{TIMES.format(factor=2)}")))
    rig.sm.create_endpoint(EndpointName=name, EndpointConfigName=config)
    assert rig.settled(name)["EndpointStatus"] == "Failed"
    assert any("ModuleNotFoundError" in line for line in rig.log(name))


def test_a_handlers_error_is_a_model_error_with_its_trace(rig: Rig) -> None:
    """API_runtime_InvokeEndpoint, "ModelError": status, original status, message, log stream ARN."""
    name = rig.endpoint(rig.config(rig.model(code(BOOM))))
    found = refused(rig.runtime.invoke_endpoint, EndpointName=name, Body=b"raise", ContentType="text/csv")
    assert (found.code, found.status, found.body["OriginalStatusCode"]) == ("ModelError", 424, 500)
    assert found.body["OriginalMessage"].startswith("boom in predict\nTraceback")
    assert "Received server error (500) from primary" in found.message
    assert f":log-group:/aws/sagemaker/Endpoints/{name}:log-stream:main/i-" in found.body["LogStreamArn"]
    while not any("ValueError: boom in predict" in line for line in rig.log(name)):
        continue


def test_a_context_lets_the_handler_set_status_and_headers(rig: Rig) -> None:
    """sagemaker-inference toolkit, ``_run_handler_function``; "CustomAttributes" of InvokeEndpoint."""
    name = rig.endpoint(rig.config(rig.model(code(CONTEXT))))
    found = refused(rig.runtime.invoke_endpoint, EndpointName=name, Body=b"bad", ContentType="text/csv")
    assert (found.code, found.body["OriginalStatusCode"]) == ("ModelError", 400)
    assert "Received client error (400)" in found.message
    assert json.loads(found.body["OriginalMessage"]) == {"error": "bad input"}
    good = send(rig, name, b"good", ContentType="text/csv", CustomAttributes="to-model")
    assert json.loads(good["Body"]) == {"ok": True, "custom": "to-model"}
    assert good["CustomAttributes"] == "from-model"
    assert good["InvokedProductionVariant"] == "main"


def test_a_process_that_dies_is_a_model_error_and_comes_back(rig: Rig) -> None:
    """API_runtime_InvokeEndpoint: ModelError when the container fails; SageMaker restarts it."""
    name = rig.endpoint(rig.config(rig.model(code(BOOM + "# one that dies\n"))))
    first = send(rig, name, b"pid", ContentType="text/csv")["Body"]
    found = refused(rig.runtime.invoke_endpoint, EndpointName=name, Body=b"die", ContentType="text/csv")
    assert (found.code, found.status) == ("ModelError", 424)
    second = send(rig, name, b"pid", ContentType="text/csv")["Body"]
    assert first != second
    while not any("SIGSEGV" in line for line in rig.log(name)):
        continue


def test_a_request_that_takes_too_long_is_a_model_error(rig: Rig, settings: Callable[..., None]) -> None:
    """API_runtime_InvokeEndpoint: containers must respond within 60 seconds."""
    name = rig.endpoint(rig.config(rig.model(code(BOOM + "# one that sleeps\n"))))
    settings(request_timeout_s=0.2)
    found = refused(rig.runtime.invoke_endpoint, EndpointName=name, Body=b"sleep", ContentType="text/csv")
    assert found.code == "ModelError"
    assert "timed out" in found.message


def test_a_container_that_never_answers_a_ping_fails(rig: Rig) -> None:
    """API_ProductionVariant, "ContainerStartupHealthCheckTimeoutInSeconds"."""
    before = rig.emulator.state()["settings"]["startup_timeout_s"]
    rig.emulator.configure(startup_timeout_s=0.5)
    name = rig.fresh("endpoint")
    config = rig.config(rig.model(code("import time\ntime.sleep(60)\n")))
    rig.sm.create_endpoint(EndpointName=name, EndpointConfigName=config)
    found = rig.settled(name)
    rig.emulator.configure(startup_timeout_s=before)
    assert "ping health check" in found["FailureReason"]


def test_an_unknown_endpoint_and_a_body_too_large_are_validation_errors(
    rig: Rig, echo: str, settings: Callable[..., None]
) -> None:
    """API_runtime_InvokeEndpoint, "Body": maximum length of 6291456; ValidationError, status 400."""
    found = refused(rig.runtime.invoke_endpoint, EndpointName="nobody", Body=b"{}")
    assert (found.code, found.status) == ("ValidationError", 400)
    assert "nobody" in found.message
    send(rig, echo, bytes(6_291_456))
    found = refused(rig.runtime.invoke_endpoint, EndpointName=echo, Body=bytes(6_291_457))
    assert (found.code, found.status) == ("ValidationError", 400)
    assert "less than or equal to 6291456" in found.message


def test_a_serverless_endpoint_answers_and_takes_four_megabytes(rig: Rig) -> None:
    """ "Serverless Inference: Feature limits", Amazon SageMaker Developer Guide: payload size 4 MB."""
    serverless = {"MemorySizeInMB": 2048, "MaxConcurrency": 5}
    name = rig.endpoint(rig.config(InstanceType=None, InitialInstanceCount=None, ServerlessConfig=serverless))
    assert rig.ask(name, [4]) == [8]
    assert rig.settled(name)["ProductionVariants"][0]["CurrentServerlessConfig"] == serverless
    found = refused(rig.runtime.invoke_endpoint, EndpointName=name, Body=bytes(4_194_305))
    assert found.code == "ValidationError"


def test_an_uncompressed_prefix_is_served_like_an_archive(rig: Rig) -> None:
    """API_S3ModelDataSource: S3Prefix, CompressionType None; API_ContainerDefinition: not serverless."""
    prefix = f"{rig.fresh('model')}/"
    for name, data in code(TIMES.format(factor=9), **{"deep/er/w.bin": "1"}).items():
        rig.s3.put_object(Bucket=rig.bucket, Key=prefix + name, Body=data)
    source = {
        "S3DataSource": {
            "S3Uri": f"s3://{rig.bucket}/{prefix}",
            "S3DataType": "S3Prefix",
            "CompressionType": "None",
        }
    }
    model = rig.fresh("model")
    rig.sm.create_model(
        ModelName=model,
        ExecutionRoleArn=rig.role,
        PrimaryContainer={"Image": IMAGE, "ModelDataSource": source},
    )
    assert rig.ask(rig.endpoint(rig.config(model)), [1]) == [9]
    serverless = {"MemorySizeInMB": 2048, "MaxConcurrency": 5}
    found = refused(
        rig.config, model=model, InstanceType=None, InitialInstanceCount=None, ServerlessConfig=serverless
    )
    assert "ModelDataSource" in found.message


def test_an_archive_that_is_none_fails_the_endpoint_with_the_reason(rig: Rig) -> None:
    """API_DescribeEndpoint, "FailureReason"."""
    key = f"{rig.fresh()}/model.tar.gz"
    whole = archive(code(TIMES.format(factor=2), big="x" * 50_000))
    for data in (b"no archive", whole[: len(whole) // 2]):
        rig.s3.put_object(Bucket=rig.bucket, Key=key, Body=data)
        model, name = rig.fresh("model"), rig.fresh("endpoint")
        rig.sm.create_model(
            ModelName=model,
            ExecutionRoleArn=rig.role,
            PrimaryContainer={"Image": IMAGE, "ModelDataUrl": f"s3://{rig.bucket}/{key}"},
        )
        rig.sm.create_endpoint(EndpointName=name, EndpointConfigName=rig.config(model))
        assert "Failed to extract model data" in rig.settled(name)["FailureReason"]


def test_an_archive_can_not_write_outside_its_folder(rig: Rig, tmp_path: Path) -> None:
    """PEP 706: the ``data`` filter."""
    files = {**code(TIMES.format(factor=2)), "../../escaped": b"x", f"{tmp_path}/escaped": b"x"}
    name = rig.fresh("endpoint")
    rig.sm.create_endpoint(EndpointName=name, EndpointConfigName=rig.config(rig.model(files)))
    assert rig.settled(name)["EndpointStatus"] == "Failed"
    assert list(tmp_path.iterdir()) == []


def test_defaults_of_the_toolkit_serve_arrays(rig: Rig) -> None:
    """sagemaker-inference toolkit, ``DefaultInferenceHandler``: JSON, CSV and npy."""
    text = "def model_fn(model_dir): return 3\ndef predict_fn(data, model): return data * model\n"
    name = rig.endpoint(rig.config(rig.model(code(text))))
    raw = io.BytesIO()
    np.save(raw, np.array([[1.5, 2.0]]))
    as_json = send(rig, name, raw.getvalue(), ContentType="application/x-npy", Accept="application/json")
    assert json.loads(as_json["Body"]) == [[4.5, 6.0]]
    as_csv = send(rig, name, b"1,2\n3,4\n", ContentType="text/csv", Accept="text/csv")
    rows = list(csv.reader(io.StringIO(as_csv["Body"].decode())))
    assert [[float(x) for x in row] for row in rows] == [[3, 6], [9, 12]]


def test_what_the_process_prints_lands_in_the_log_group(rig: Rig) -> None:
    """ "Log groups and streams that SageMaker AI sends", Amazon SageMaker Developer Guide."""
    name = rig.endpoint()
    streams = rig.logs.describe_log_streams(logGroupName=f"/aws/sagemaker/Endpoints/{name}")["logStreams"]
    assert [s["logStreamName"].split("/")[0] for s in streams] == ["main"]
    assert "loading factor 2" in rig.log(name)


@pytest.mark.parametrize("statistic", ["Sum", "SampleCount"])
def test_invocations_errors_and_latency_are_metrics(rig: Rig, statistic: str) -> None:
    """ "Metrics for monitoring Amazon SageMaker AI with Amazon CloudWatch": invocation metrics."""
    name = rig.endpoint(rig.config(rig.model(code(BOOM))))
    for body in (b"good", b"good", b"raise"):
        try:
            send(rig, name, body, ContentType="text/csv")
        except rig.runtime.exceptions.ModelError:
            assert body == b"raise"
    now = datetime.now(UTC)

    def figure(metric: str) -> float:
        points = rig.watch.get_metric_statistics(
            Namespace="AWS/SageMaker",
            MetricName=metric,
            Dimensions=[{"Name": "EndpointName", "Value": name}, {"Name": "VariantName", "Value": "main"}],
            StartTime=now - timedelta(minutes=10),
            EndTime=now + timedelta(minutes=1),
            Period=60,
            Statistics=[statistic],
        )["Datapoints"]
        return float(sum(p[statistic] for p in points))

    if statistic == "SampleCount":
        assert figure("ModelLatency") == 3
    else:
        assert [figure(f"Invocation{x}") for x in ("s", "4XXErrors", "5XXErrors")] == [3, 0, 1]


def wheel(folder: Path, name: str, version: str, source: str) -> None:
    """A wheel as small as can be."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": source,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as file:
        for path, text in {**files, f"{info}/RECORD": record}.items():
            file.writestr(path, text)


def test_requirements_are_installed_on_top_of_the_image_and_kept_apart(rig: Rig, tmp_path: Path) -> None:
    """sagemaker-inference toolkit: code/requirements.txt is installed when the container starts."""
    module = f"tiny_{os.getpid()}"
    wheel(tmp_path, module, "1.0", "VALUE = 41\n")
    text = f"import {module}\n" + TIMES.format(factor=f"{module}.VALUE")
    wanted = f"--no-index\n--find-links {tmp_path}\nnumpy>=1\n{module}==1.0  # a comment\n"
    name = rig.endpoint(rig.config(rig.model(code(text, **{"code/requirements.txt": wanted}))))
    assert rig.ask(name, [1]) == [41]
    plain = rig.fresh("endpoint")
    rig.sm.create_endpoint(EndpointName=plain, EndpointConfigName=rig.config(rig.model(code(text))))
    assert rig.settled(plain)["EndpointStatus"] == "Failed"


def test_a_requirement_that_replaces_what_the_image_has_leaves_the_host_alone(
    rig: Rig, tmp_path: Path
) -> None:
    """The image's own version gives way in the container, never on the machine that emulates it."""
    wheel(tmp_path, "retrying", "99.0", "VALUE = 7\n")
    text = "import retrying\n" + TIMES.format(factor="retrying.VALUE")
    wanted = f"--no-index\n--find-links {tmp_path}\nretrying==99.0\n"
    name = rig.endpoint(rig.config(rig.model(code(text, **{"code/requirements.txt": wanted}))))
    assert rig.ask(name, [1]) == [7]
    check = "import retrying; print(hasattr(retrying, 'VALUE'))"
    assert subprocess.run([sys.executable, "-c", check], capture_output=True, text=True).stdout == "False\n"


def test_requirements_that_can_not_be_had_fail_the_endpoint_with_pips_words(rig: Rig) -> None:
    """The container ends while it installs, so the endpoint fails; the log has the reason."""
    wanted = "--no-index\nno-such-distribution-anywhere==1.0\n"
    files = code(TIMES.format(factor=2), **{"code/requirements.txt": wanted})
    name = rig.fresh("endpoint")
    rig.sm.create_endpoint(EndpointName=name, EndpointConfigName=rig.config(rig.model(files)))
    assert rig.settled(name)["EndpointStatus"] == "Failed"
    assert any("No matching distribution found for no-such-distribution" in line for line in rig.log(name))
