"""FastAPI with a checked body; run by uvicorn."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from nets import load
from pydantic import BaseModel

app = FastAPI()
model = load()


class Body(BaseModel):
    """A batch."""

    inputs: list[Any]


@app.get("/health")
def health() -> dict[str, str]:
    """Whether it lives."""
    return {"status": "ok"}


@app.post("/predict")
def predict(body: Body) -> dict[str, Any]:
    """Predict for a batch, in FastAPI's thread pool."""
    return {"predictions": model(body.inputs)}
