"""A model as a service on this machine: releases, shares of the traffic, a load, more copies, and back.

    (cd examples/digits && python train.py)  # makes the model
    python examples/serving/laptop.py

It needs `pip install 'clouddeploy[serve,torch]'`, no cloud and no port of its own, and leaves nothing behind.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np

from clouddeploy import Autoscaling, Client, Deployer, Model
from clouddeploy.bench import Load, measure

DIGITS = Path(__file__).parents[1] / "digits"


def main() -> None:
    """Run all of it."""
    scores = Model.from_file(DIGITS / "digits.pt2")
    shares = Model.from_file(DIGITS / "digits.pt2", handler=DIGITS / "handler.py")
    images = np.load(DIGITS / "heldout.npy")[:4]
    with tempfile.TemporaryDirectory() as folder:
        deployer = Deployer("local", folder=folder)
        try:
            show(deployer, scores, shares, images)
        finally:
            deployer.delete("digits")
        print("left:", deployer.list())


def show(deployer: Deployer, scores: Model, shares: Model, images: np.ndarray) -> None:
    """Deploy twice, share the requests, put a load on it, scale, go back."""
    endpoint = deployer.deploy(scores, "digits")
    print("serves at", endpoint.url)
    deployer.deploy(shares, "digits")
    new, old = endpoint.releases()
    print("digits seen:", endpoint.predict(images).argmax(axis=1).tolist())

    endpoint.split({new: 25, old: 75})
    with Client(endpoint.url) as client:
        answers = [float(client.predict(images[:1]).sum()) for _ in range(100)]
    told = Counter("probabilities" if abs(total - 1) < 1e-3 else "scores" for total in answers)
    print("a hundred requests:", dict(sorted(told.items())))

    body = json.dumps({"inputs": images[:1].tolist()}).encode()
    kind = {"content-type": "application/json"}
    load = Load(url=f"{endpoint.url}/predict", rate=100, duration_s=1, warm_up_s=0.2, body=body, headers=kind)
    found = measure(load)
    print(
        f"a load of 100/s: {found.sent} sent, {found.errors} failed, median {found.quantile_ms(0.5):.2g} ms"
    )

    endpoint.scale(Autoscaling(min=2, max=2))
    print("copies of each release:", list(endpoint.describe()["copies"].values()))
    endpoint.rollback(old)
    print("serving again:", "the first release" if endpoint.status().release == old else "another")
    print("requests so far:", int(endpoint.metrics()["requests"]))


if __name__ == "__main__":
    main()
