"""Functions run as on Lambda: one process per execution, its life, its limits and its log."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from clouddeploy.emulator.functions.base_image import PYTHON
from tests.emulator.conftest import refused
from tests.emulator.functions.conftest import Functions, packed

STATE = """
import os, time
calls = 0
def go(event, context):
    global calls
    calls += 1
    time.sleep(event.get("sleep", 0))
    return {"calls": calls, "pid": os.getpid()}
"""
SHOW = """
import os, sys
def go(event, context):
    return {"env": dict(os.environ), "cwd": os.getcwd(), "path": sys.path[0],
            "context": [context.function_name, context.function_version, context.invoked_function_arn,
                        context.memory_limit_in_mb, context.get_remaining_time_in_millis(),
                        context.aws_request_id, context.log_stream_name]}
"""


def test_the_process_sees_what_lambda_sets(functions: Functions) -> None:
    """Lambda Developer Guide, "Defined runtime environment variables" and "Python context object"."""
    name = functions.make(SHOW, Environment={"Variables": {"OWN": "1"}})
    seen = functions.ask(name).body
    env = seen["env"]
    assert env["AWS_LAMBDA_FUNCTION_NAME"] == name
    assert env["AWS_LAMBDA_FUNCTION_VERSION"] == "$LATEST"
    assert env["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "256"
    assert env["AWS_LAMBDA_LOG_GROUP_NAME"] == f"/aws/lambda/{name}"
    assert env["AWS_LAMBDA_INITIALIZATION_TYPE"] == "on-demand"
    assert env["AWS_EXECUTION_ENV"] == f"AWS_Lambda_python{PYTHON}"
    assert env["_HANDLER"] == "app.go"
    assert env["TZ"] == ":UTC"
    assert env["AWS_REGION"] == env["AWS_DEFAULT_REGION"] == "eu-west-1"
    assert env["AWS_ENDPOINT_URL"] == functions.rig.emulator.url
    assert env["OWN"] == "1"
    assert env["LAMBDA_TASK_ROOT"] == seen["cwd"] == seen["path"]
    context = seen["context"]
    assert context[:2] == [name, "$LATEST"]
    assert context[2] == f"arn:aws:lambda:eu-west-1:123456789012:function:{name}"
    assert context[3] in (256, "256")
    assert 0 < context[4] <= 10_000
    assert context[6] == env["AWS_LAMBDA_LOG_STREAM_NAME"]


def test_nothing_of_the_host_reaches_the_process(functions: Functions) -> None:
    """Lambda Developer Guide, "Building Lambda functions with Python": the image's own packages only."""
    name = functions.make(
        "import importlib.util as u\n"
        "def go(event, context):\n"
        "    return [bool(u.find_spec(m)) for m in ('boto3', 'awslambdaric', 'torch', 'clouddeploy')]\n"
    )
    assert functions.ask(name).body == [True, True, False, False]


def test_a_process_is_used_again_and_one_event_at_a_time(functions: Functions) -> None:
    """Lambda Developer Guide, "Understanding Lambda function scaling"."""
    name = functions.make(STATE)
    first, second = functions.ask(name).body, functions.ask(name).body
    assert second == {"calls": 2, "pid": first["pid"]}
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda _: functions.ask(name, {"sleep": 0.5}).body, range(3)))
    assert len({a["pid"] for a in answers}) == 3
    assert len(functions.processes(name)) == 3


def test_a_process_is_frozen_between_events(functions: Functions) -> None:
    """Lambda Developer Guide, "Lambda execution environment lifecycle": the environment is frozen."""
    name = functions.make(
        "import threading, time\n"
        "ticks = 0\n"
        "def tick():\n"
        "    global ticks\n"
        "    while True:\n"
        "        ticks += 1; time.sleep(0.005)\n"
        "threading.Thread(target=tick, daemon=True).start()\n"
        "def go(event, context):\n"
        "    return ticks\n"
    )
    before = functions.ask(name).body
    pid = functions.processes(name)[0]["pid"]
    deadline = time.monotonic() + 5
    while _status(pid) != "T" and time.monotonic() < deadline:
        time.sleep(0.01)
    assert _status(pid) == "T"
    time.sleep(0.1)
    assert functions.ask(name).body - before < 15


def _status(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_start_end_and_report_stand_around_the_output(functions: Functions) -> None:
    """Lambda Developer Guide, "Working with Lambda function logs"."""
    name = functions.make("print('loading')\ndef go(event, context):\n    print('hello', event['n'])\n")
    answer = functions.ask(name, {"n": 7})
    lines = functions.log(name)
    assert lines == answer.log.splitlines()
    assert lines[0].startswith("INIT_START")
    assert lines[1] == "loading"
    assert lines[2].startswith("START RequestId: ")
    assert lines[2].endswith("Version: $LATEST")
    assert lines[3] == "hello 7"
    assert lines[4].startswith("END RequestId: ")
    assert "Memory Size: 256 MB\tMax Memory Used: " in lines[5]
    assert "Init Duration: " in lines[5]
    functions.ask(name, {"n": 8})
    assert "Init Duration" not in functions.log(name)[-1]
    stream = functions.rig.logs.describe_log_streams(logGroupName=f"/aws/lambda/{name}")["logStreams"]
    assert "/[$LATEST]" in stream[0]["logStreamName"]


def test_the_tail_is_the_last_four_kilobytes(functions: Functions) -> None:
    """Lambda API Reference, Invoke: "LogType", the last 4 KB."""
    name = functions.make("def go(event, context):\n    print('x' * 9000)\n")
    log = functions.ask(name).log
    assert len(log) == 4096
    assert "REPORT RequestId" in log


def test_a_lot_of_output_blocks_nothing(functions: Functions) -> None:
    name = functions.make("def go(event, context):\n    for i in range(40000): print('line', i, 'y' * 60)\n")
    assert functions.ask(name).error is None
    assert sum(line.startswith("line ") for line in functions.log(name)) == 40000


def test_an_exception_is_told_with_its_trace(functions: Functions) -> None:
    """Lambda Developer Guide, "Python function errors"."""
    name = functions.make("def go(event, context):\n    raise ValueError('bad ' + event['what'])\n")
    answer = functions.ask(name, {"what": "luck"})
    assert answer.error == "Unhandled"
    assert answer.body["errorType"] == "ValueError"
    assert answer.body["errorMessage"] == "bad luck"
    assert "raise ValueError" in answer.body["stackTrace"][0]
    assert "[ERROR] ValueError: bad luck" in answer.log
    assert len(functions.processes(name)) == 1  # it lives on


def test_a_module_that_cannot_be_imported(functions: Functions) -> None:
    """Lambda Developer Guide, "Troubleshoot deployment issues": Unable to import module."""
    name = functions.make("import nowhere_to_be_found\ndef go(event, context): pass\n")
    answer = functions.ask(name)
    assert answer.error == "Unhandled"
    assert answer.body["errorType"] == "Runtime.ImportModuleError"
    assert "No module named 'nowhere_to_be_found'" in answer.body["errorMessage"]
    log = "\n".join(functions.log(name))
    assert "Runtime.ImportModuleError" in log
    assert "Phase: init\tStatus: error" in log
    assert functions.processes(name) == []


def test_a_missing_handler_is_named(functions: Functions) -> None:
    name = functions.make(Handler="app.nothing")
    assert functions.ask(name).body["errorType"] == "Runtime.HandlerNotFound"


def test_an_initialisation_that_takes_too_long_is_begun_anew(
    functions: Functions, settings: Callable[..., None]
) -> None:
    """Lambda Developer Guide, "Lambda execution environment lifecycle", Init phase: 10 seconds."""
    settings(function_init_s=0.3)
    slow = "import time\ntime.sleep({})\ndef go(event, context):\n    return 'done'\n"
    name = functions.make(slow.format(0.6))
    answer = functions.ask(name)
    assert answer.body == "done"
    assert "Phase: init\tStatus: timeout" in answer.log
    endless = functions.make(slow.format(60), Timeout=1)
    answer = functions.ask(endless)
    assert answer.error == "Unhandled"
    assert answer.body["errorType"] == "Sandbox.Timedout"
    assert "Task timed out after 1.00 seconds" in answer.body["errorMessage"]


def test_a_timeout_kills_the_process(functions: Functions) -> None:
    """Lambda Developer Guide, "Configure Lambda function timeout"."""
    name = functions.make(STATE, Timeout=1)
    answer = functions.ask(name, {"sleep": 30})
    assert answer.error == "Unhandled"
    assert answer.body["errorMessage"].endswith("Task timed out after 1.00 seconds")
    assert "Task timed out after 1.00 seconds" in answer.log
    assert "Status: timeout" in answer.log
    assert functions.processes(name) == []
    assert functions.ask(name).body["calls"] == 1


def test_too_much_memory_kills_the_process(functions: Functions) -> None:
    """Lambda Developer Guide, "Troubleshoot execution issues": Runtime exited with error: signal: killed."""
    name = functions.make(
        "import time\ndef go(event, context):\n    b = bytearray(400_000_000)\n    time.sleep(5)\n",
        MemorySize=128,
    )
    answer = functions.ask(name)
    assert answer.error == "Unhandled"
    assert answer.body["errorType"] == "Runtime.ExitError"
    assert answer.body["errorMessage"].endswith("Runtime exited with error: signal: killed")
    assert "Runtime.ExitError" in answer.log
    assert int(answer.log.partition("Max Memory Used: ")[2].partition(" MB")[0]) > 128


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("os._exit(3)", "Runtime exited with error: exit status 3"),
        ("os.kill(os.getpid(), 11)", "Runtime exited with error: signal: segmentation fault"),
        ("os._exit(0)", "Runtime exited without providing a reason"),
    ],
)
def test_a_process_that_ends_itself(functions: Functions, statement: str, words: str) -> None:
    name = functions.make(f"import os\ndef go(event, context):\n    {statement}\n")
    answer = functions.ask(name)
    assert answer.error == "Unhandled"
    assert answer.body["errorMessage"].endswith(words)


def test_a_process_that_died_while_idle_is_replaced(functions: Functions) -> None:
    name = functions.make(STATE)
    pid = functions.ask(name).body["pid"]
    os.kill(pid, 9)
    assert functions.ask(name).body["calls"] == 1


def test_nothing_can_be_written_outside_tmp(functions: Functions) -> None:
    """Lambda Developer Guide, "Lambda execution environment": the file system is read-only but for /tmp."""
    name = functions.make(
        "import os, pathlib, tempfile\n"
        "def go(event, context):\n"
        "    tempfile.NamedTemporaryFile().close()\n"
        "    pathlib.Path(tempfile.gettempdir(), 'x').write_text('fine')\n"
        "    for where in (os.environ['LAMBDA_TASK_ROOT'], '/var/task', os.path.expanduser('~')):\n"
        "        try:\n"
        "            open(os.path.join(where, 'x'), 'w')\n"
        "        except OSError as error:\n"
        "            yield_ = error.strerror\n"
        "            if error.errno != 30: raise\n"
        "        else: raise AssertionError(where)\n"
        "    return yield_\n"
    )
    assert functions.ask(name).body == "Read-only file system"


def test_packages_come_out_of_the_zip(functions: Functions) -> None:
    """Lambda Developer Guide, "Working with .zip file archives for Python": dependencies at the top level."""
    code = "import numpy as np\ndef go(event, context):\n    return {'sum': float(np.sum(event['x']))}\n"
    stub = "def sum(x):\n    return 1000.0 + __builtins__['sum'](x)\n"
    name = functions.make(code, files={"numpy.py": stub})
    assert functions.ask(name, {"x": [1.5, 2.0]}).body == {"sum": 1003.5}


def test_payloads_have_limits(functions: Functions) -> None:
    """Lambda Developer Guide, "Lambda quotas": 6 MB each for synchronous request and response."""
    name = functions.make("def go(event, context):\n    return 'x' * event if event else None\n")
    call = functions.api.invoke
    refusal = refused(call, FunctionName=name, Payload=b'"' + b"x" * 6_291_456 + b'"')
    assert (refusal.code, refusal.status) == ("RequestTooLargeException", 413)
    refusal = refused(call, FunctionName=name, Payload=b"{no json")
    assert refusal.code == "InvalidRequestContentException"
    answer = functions.ask(name, 6_300_000)
    assert answer.body["errorType"] == "Function.ResponseSizeTooLarge"
    assert len(functions.ask(name, 6_200_000).body) == 6_200_000


def test_a_large_payload_arrives_whole(functions: Functions) -> None:
    name = functions.make("def go(event, context):\n    return len(event['x'])\n")
    assert functions.ask(name, {"x": "y" * 5_000_000}).body == 5_000_000


def test_a_dry_run_runs_nothing(functions: Functions) -> None:
    """Lambda API Reference, Invoke: "InvocationType"."""
    name = functions.make(STATE)
    assert functions.api.invoke(FunctionName=name, InvocationType="DryRun")["StatusCode"] == 204
    assert functions.processes(name) == []


def test_an_event_is_tried_three_times_then_sent_to_its_destination(functions: Functions) -> None:
    """Lambda Developer Guide, "Capturing records of Lambda asynchronous invocations"."""
    sqs = functions.rig.client("sqs")
    queue = sqs.create_queue(QueueName=functions.rig.fresh("failures"))["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    name = functions.make("def go(event, context):\n    print('trying')\n    raise KeyError('gone')\n")
    functions.api.put_function_event_invoke_config(
        FunctionName=name, DestinationConfig={"OnFailure": {"Destination": arn}}
    )
    answer = functions.api.invoke(FunctionName=name, InvocationType="Event", Payload=b'{"n": 1}')
    assert answer["StatusCode"] == 202
    deadline = time.monotonic() + 10
    messages: list[dict[str, str]] = []
    while not messages and time.monotonic() < deadline:
        messages = sqs.receive_message(QueueUrl=queue).get("Messages", [])
        time.sleep(0.05)
    record = json.loads(messages[0]["Body"])
    assert record["requestPayload"] == {"n": 1}
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert record["requestContext"]["approximateInvokeCount"] == 3
    assert record["responsePayload"]["errorType"] == "KeyError"
    assert functions.log(name).count("trying") == 3


def test_invocations_are_counted_in_cloudwatch(functions: Functions) -> None:
    """Lambda Developer Guide, "Types of metrics for Lambda functions"."""
    name = functions.make("def go(event, context):\n    return 1 / event['by']\n")
    functions.ask(name, {"by": 1})
    functions.ask(name, {"by": 0})
    for metric, wanted in (("Invocations", 2), ("Errors", 1)):
        found = functions.rig.watch.get_metric_statistics(
            Namespace="AWS/Lambda", MetricName=metric, Period=3600, Statistics=["Sum"],
            Dimensions=[{"Name": "FunctionName", "Value": name}],
            StartTime=time.time() - 3600, EndTime=time.time() + 60,
        )["Datapoints"]  # fmt: skip
        assert sum(point["Sum"] for point in found) == wanted


def test_embedded_metrics_are_taken_out_of_the_log(functions: Functions) -> None:
    """Amazon CloudWatch User Guide, "Specification: Embedded metric format"."""
    space = functions.rig.fresh("space")
    line = {
        "_aws": {
            "Timestamp": 0,
            "CloudWatchMetrics": [
                {"Namespace": space, "Dimensions": [["f"]], "Metrics": [{"Name": "rows", "Unit": "Count"}]}
            ],
        },
        "f": "a",
        "rows": 5,
    }
    name = functions.make(f"def go(event, context):\n    print({json.dumps(json.dumps(line))})\n")
    functions.ask(name)
    found = functions.rig.watch.get_metric_statistics(
        Namespace=space, MetricName="rows", Period=3600, Statistics=["Sum"],
        Dimensions=[{"Name": "f", "Value": "a"}], StartTime=time.time() - 3600, EndTime=time.time() + 60,
    )["Datapoints"]  # fmt: skip
    assert [point["Sum"] for point in found] == [5]


def test_a_function_reaches_the_embedded_cloud(functions: Functions) -> None:
    name = functions.make(
        "import boto3\n"
        "def go(event, context):\n"
        "    boto3.client('s3').put_object(Bucket=event['bucket'], Key=event['key'], Body=b'made')\n"
    )
    key = functions.rig.fresh("made")
    assert functions.ask(name, {"bucket": functions.rig.bucket, "key": key}).error is None
    assert functions.rig.s3.get_object(Bucket=functions.rig.bucket, Key=key)["Body"].read() == b"made"


def test_an_unknown_function_or_alias(functions: Functions) -> None:
    refusal = refused(functions.api.invoke, FunctionName="nobody")
    assert (refusal.code, refusal.status) == ("ResourceNotFoundException", 404)
    name = functions.make()
    refusal = refused(functions.api.invoke, FunctionName=name, Qualifier="live")
    assert refusal.code == "ResourceNotFoundException"
    assert refusal.message.endswith(f":function:{name}:live")


def test_an_idle_process_is_ended(functions: Functions, settings: Callable[..., None]) -> None:
    name = functions.make(STATE)
    functions.ask(name)
    settings(idle_stop_s=0)
    functions.await_end(name)
    settings(idle_stop_s=60)
    assert functions.ask(name).body["calls"] == 1


def test_layers_come_after_the_code(functions: Functions) -> None:
    """Lambda Developer Guide, "Working with layers for Python Lambda functions"."""
    layer = functions.api.publish_layer_version(
        LayerName=functions.rig.fresh("layer"),
        Content={"ZipFile": packed({"python/shared.py": "WORD = 'layer'"})},
    )["LayerVersionArn"]
    code = "import shared\ndef go(event, context):\n    return shared.WORD\n"
    assert functions.ask(functions.make(code, Layers=[layer])).body == "layer"
    both = functions.make(code, files={"shared.py": "WORD = 'own'"}, Layers=[layer])
    assert functions.ask(both).body == "own"
