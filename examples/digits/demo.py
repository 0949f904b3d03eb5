"""The whole way of a model, without a cloud account: what `make demo` runs.

A network is trained, deployed through the API of SageMaker (or of the ``--target`` that is named) to the
embedded cloud on this machine, asked for predictions, deployed again, and removed; then the cloud's own
listings show that nothing is left.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from listings import GOOGLE, listed
from train import Trained, train

from clouddeploy import Autoscaling, Compute, Concurrency, Deployer, Endpoint, Model
from clouddeploy.cli.terminal import Terminal
from clouddeploy.emulator import connection

HERE = Path(__file__).parent
NAME = "digits"
BATCH = 64
SINGLES = 50
WISHES: dict[str, dict[str, Any]] = {
    "sagemaker": {
        "compute": Compute(instance="ml.m5.large"),
        "autoscaling": Autoscaling(min=1, max=4, requests_per_minute=600),
    },
    "lambda": {
        "compute": Compute(memory_mb=1024),
        "autoscaling": Autoscaling(min=1, max=4, utilization=0.7),
    },
    "cloud-functions": {
        "compute": Compute(memory_mb=2048),
        "autoscaling": Autoscaling(min=0, max=20, target=Concurrency(8)),
    },
    "cloud-run": {
        "compute": Compute(memory_mb=2048),
        "autoscaling": Autoscaling(min=0, max=20, target=Concurrency(8)),
    },
}
NAMES = {
    "sagemaker": "SageMaker",
    "lambda": "Lambda",
    "cloud-functions": "Cloud Functions",
    "cloud-run": "Cloud Run",
}


def main() -> int:
    """Run the demo; the exit code is 1 when a cloud's listing shows a left-over."""
    parser = argparse.ArgumentParser(description="deploy a real model to the embedded cloud")
    parser.add_argument("--target", choices=sorted(WISHES), default="sagemaker")
    target = parser.parse_args().target
    was_running = connection.running() is not None
    say("1. Train a small CNN on scikit-learn's handwritten digits")
    began = time.perf_counter()
    trained = train()
    say(f"   trained in {time.perf_counter() - began:.1f} s; {len(trained.images)} images are held out")
    try:
        left = deploy_and_remove(trained, target)
    finally:
        if not was_running:
            connection.stop()
    say("   the embedded cloud is stopped" if not was_running else "   the embedded cloud runs on, as before")
    return 1 if left else 0


def deploy_and_remove(trained: Trained, target: str) -> int:
    """Everything that needs the cloud; returns how many left-overs its listings show."""
    say("2. Start the embedded cloud, and plan")
    cloud = connection.connect()
    before = listed(cloud, target)
    deployer = Deployer(target, emulated=True)
    # As a state_dict, which the PyTorch of SageMaker's image loads, whatever version trained it.
    model = Model.from_torch(
        trained.net, example_input=trained.images[:1], handler=HERE / "handler.py", format="state_dict"
    )
    if target != "sagemaker":
        model = model.to("onnx")  # PyTorch itself is too large, or starts too slowly, for a function
        say(f"   as ONNX: {model!r}")
    wish = WISHES[target]
    say(indented(deployer.plan(model, NAME, **wish)))
    say(f"3. Deploy through the {NAMES[target]} API")
    began = time.perf_counter()
    with Terminal().progress() as progress:
        endpoint = deployer.deploy(model, NAME, on_event=progress.event, **wish)
    say(f"   {endpoint!r} serves after {time.perf_counter() - began:.1f} s")
    say("4. Classify the held-out images through the endpoint")
    classify(endpoint, trained)
    if target != "sagemaker":
        by_url(endpoint, trained, cloud)
    say("5. Deploy again")
    again = deployer.plan(model, NAME, **wish)
    deployer.deploy(model, NAME, **wish)
    say(f"   {str(again).splitlines()[-1]}")
    say("6. Tear down, and look for left-overs in the cloud's own listings")
    endpoint.delete()
    after = listed(cloud, target)
    for noun, names in after.items():
        left = [name for name in names if name not in before[noun]]
        say(f"   {noun + ':':<17} {', '.join(left) or 'none'}")
    return sum(name not in before[noun] for noun, names in after.items() for name in names)


def classify(endpoint: Endpoint, trained: Trained) -> None:
    """Print accuracy over all held-out images in batches, and the latency of single requests."""
    batches = np.split(trained.images, range(BATCH, len(trained.images), BATCH))
    answers = np.concatenate([endpoint.predict(batch) for batch in batches])
    right = int((answers.argmax(axis=1) == trained.labels).sum())
    share = right / len(trained.labels)
    say(f"   {right} of {len(trained.labels)} right ({share:.1%}) in {len(batches)} requests")
    times = []
    for image in trained.images[:SINGLES]:
        began = time.perf_counter()
        endpoint.predict(image[None])
        times.append(time.perf_counter() - began)
    say(f"   {statistics.median(times) * 1000:.1f} ms for a single image (median of {len(times)} requests)")


def by_url(endpoint: Endpoint, trained: Trained, cloud: connection.Connection) -> None:
    """Ask for one prediction by the URL, in a request with credentials as any HTTP client could send it."""
    import json
    from urllib.request import Request, urlopen

    url = endpoint.url
    body = json.dumps({"input": trained.images[0].tolist()}).encode()
    headers = {"Content-Type": "application/json"}
    if endpoint.target in GOOGLE:
        headers["Authorization"] = "Bearer embedded-cloud"  # an identity token, elsewhere
    else:
        headers = signed(url, body, headers, cloud)
    with urlopen(Request(url, body, headers)) as answer:
        scores = json.load(answer)["prediction"]
    say(f"   by {url}: a {int(np.argmax(scores))}, and it is a {trained.labels[0]}")


def signed(url: str, body: bytes, headers: dict[str, str], cloud: connection.Connection) -> dict[str, str]:
    """`headers` with AWS's signature of the request."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    request = AWSRequest("POST", url, headers, body)
    keys = Credentials(cloud.access_key_id, cloud.secret_access_key)
    SigV4Auth(keys, "lambda", cloud.region).add_auth(request)
    return dict(request.headers.items())


def indented(thing: object) -> str:
    """`thing` as text, moved to the right."""
    return "\n".join(f"   {line}" for line in str(thing).splitlines())


def say(text: str) -> None:
    """Print at once, also into a pipe."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
