"""Flask, as the tutorial has it; run by gunicorn."""

from __future__ import annotations

from typing import Any

from flask import Flask, jsonify, request
from nets import load

app = Flask(__name__)
model = load()


@app.get("/health")
def health() -> Any:
    """Whether it lives."""
    return jsonify({"status": "ok"})


@app.post("/predict")
def predict() -> Any:
    """Predict for a batch."""
    return jsonify({"predictions": model(request.get_json()["inputs"])})
