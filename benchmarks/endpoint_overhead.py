"""What the embedded cloud adds to one prediction, against calling the model's own process.

The same request over kept connections, to the process directly and through the SageMaker Runtime
API of the embedded cloud, in turns. A plain HTTP client is used for both, so that boto3's own time
stays out of the comparison; it is printed beside.
"""

from __future__ import annotations

import http.client
import statistics
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.measure import verdict
from clouddeploy.testing.models import linear_model
from clouddeploy.testing.rigs import sagemaker

NAME = "measured"
BODY = b'{"inputs": [[1, 2, 3, 4]]}'
HEADERS = {"Content-Type": "application/json", "Accept": "application/json"}
AUTHORIZATION = "AWS4-HMAC-SHA256 Credential=test/20260101/eu-west-1/sagemaker/aws4_request"


def _timed(connection: http.client.HTTPConnection, path: str, headers: dict[str, str]) -> float:
    start = time.perf_counter()
    connection.request("POST", path, BODY, headers)
    answer = connection.getresponse()
    answer.read()
    if answer.status != 200:
        raise SystemExit(f"{path} answered {answer.status}")
    return (time.perf_counter() - start) * 1e3


def main(requests: int = 2000) -> None:
    """Print the medians and their difference; the goal is 1.5 ms at the most."""
    with tempfile.TemporaryDirectory() as folder, sagemaker() as rig:
        endpoint = rig.deployer().deploy(linear_model(Path(folder)), NAME)
        endpoint.predict_raw(BODY)
        (process,) = rig.cloud.state()["processes"]
        direct = http.client.HTTPConnection("127.0.0.1", process["port"])
        through = http.client.HTTPConnection(urlsplit(rig.cloud.url).netloc)
        signed = {**HEADERS, "Authorization": AUTHORIZATION}
        times: dict[str, list[float]] = {"process": [], "embedded cloud": [], "Endpoint.predict_raw": []}
        for _ in range(requests):
            times["process"].append(_timed(direct, "/invocations", HEADERS))
            times["embedded cloud"].append(_timed(through, f"/endpoints/{NAME}/invocations", signed))
            start = time.perf_counter()
            endpoint.predict_raw(BODY)
            times["Endpoint.predict_raw"].append((time.perf_counter() - start) * 1e3)
        direct.close()
        through.close()
    found = {name: statistics.median(values) for name, values in times.items()}
    print(f"medians of {requests}: " + ", ".join(f"{name} {value:.3f} ms" for name, value in found.items()))
    added = found["embedded cloud"] - found["process"]
    verdict("milliseconds that the embedded cloud adds at the median", added, "at most 1.5", added <= 1.5)


if __name__ == "__main__":
    main()
