"""A deployer that keeps its deployments in a dict, and what a test needs to run the command line on it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clouddeploy.cli.app import run
from clouddeploy.cli.session import Session
from clouddeploy.cli.terminal import Terminal
from clouddeploy.engine.events import Event
from clouddeploy.engine.plan import Action, Plan, Step
from clouddeploy.errors import InputError, NotFound
from clouddeploy.spec import Autoscaling, Deployment, Reply, Status, Summary

HANDLER = "def load(model_dir):\n    pass\n\n\ndef predict(inputs):\n    return inputs * 2\n"
TOML = 'name = "digits"\ntarget = "fake"\n[model]\nfolder = "weights"\nhandler = "handler.py"\n'


def project(folder: Path, toml: str = TOML) -> Path:
    """A folder with a clouddeploy.toml and the model that it names."""
    (folder / "weights").mkdir()
    (folder / "weights" / "factor.json").write_text("2")
    (folder / "handler.py").write_text(HANDLER)
    (folder / "clouddeploy.toml").write_text(toml)
    return folder


@dataclass(frozen=True)
class Thing:
    """A resource by name only."""

    key: str
    kind: str = "endpoint"
    needs: tuple[str, ...] = ()
    immutable: frozenset[str] = frozenset()
    removal: str = "none"


@dataclass
class FakeEndpoint:
    name: str
    cloud: FakeCloud

    def status(self) -> Status:
        if self.name not in self.cloud.there:
            return Status("missing", "Missing")
        return Status("ready", "InService", release=self.cloud.there[self.name], copies=1)

    @property
    def traffic(self) -> Mapping[str, int]:
        return self.cloud.shares or {self.cloud.there[self.name]: 100}

    def logs(self, *, since_s: float, limit: int) -> Iterator[str]:
        self.cloud.asked.append(("logs", since_s, limit))
        return iter(self.cloud.lines[-limit:])

    def predict_raw(self, body: bytes, *, content_type: str, accept: str) -> Reply:
        self.cloud.asked.append((body, content_type, accept))
        if self.name not in self.cloud.there:
            raise NotFound(f"nothing runs under {self.name!r}")
        if b"bad" in body:
            raise InputError("inputs[0] is 'bad'", code="bad_dtype")
        return Reply(b'{"predictions":[1]}', accept)


@dataclass
class FakePrepared:
    """A plan, and what carries it out."""

    plan: Plan
    carry_out: Callable[[Callable[[Event], None]], object]

    def apply(self, *, on_event: Callable[[Event], None]) -> None:
        self.carry_out(on_event)


@dataclass
class FakeCloud:
    """What is deployed, by name; and what was asked of it."""

    there: dict[str, str] = field(default_factory=dict)
    lines: list[str] = field(default_factory=lambda: ["loading", "ready"])
    asked: list[Any] = field(default_factory=list)
    failure: BaseException | None = None
    shares: Mapping[str, int] = field(default_factory=dict)
    target: str = "fake"

    def make(self, target: str, **options: Any) -> FakeCloud:
        self.asked.append((target, options))
        if self.failure:
            raise self.failure
        self.target = target
        return self

    def prepare(self, deployment: Deployment, *, strict: bool) -> FakePrepared:
        action = Action.KEEP if deployment.name in self.there else Action.CREATE
        plan = Plan((Step(action, Thing(f"endpoint/{deployment.name}"), wish={"size": 1}),))

        def apply(on_event: Callable[[Event], None]) -> None:
            key = f"endpoint/{deployment.name}"
            on_event(Event("step-started", key, "create"))
            self.there[deployment.name] = deployment.model.digest
            on_event(Event("step-done", key, "create", elapsed_s=2))

        return FakePrepared(plan, apply)

    def prepare_removal(self, name: str) -> FakePrepared:
        there = [name] if name in self.there else []
        plan = Plan(tuple(Step(Action.DELETE, Thing(f"endpoint/{n}")) for n in there))
        return FakePrepared(plan, lambda on_event: self.there.pop(name, None))

    def rollback(self, name: str, release: str | None, *, on_event: Callable[[Event], None]) -> None:
        self.there[name] = release or "before"

    def split(self, name: str, shares: Mapping[str, int], *, on_event: Callable[[Event], None]) -> None:
        self.shares = shares

    def scale(self, name: str, autoscaling: Autoscaling, *, on_event: Callable[[Event], None]) -> None:
        self.asked.append(("scale", name, autoscaling))

    def package(self, model: Any, out: Path, *, compression: str, architecture: str) -> Path:
        self.asked.append(("package", compression))
        out.write_bytes(b"artifact")
        return out

    def endpoint(self, name: str) -> FakeEndpoint:
        return FakeEndpoint(name, self)

    def list(self) -> list[Summary]:
        return [Summary(name, self.target, "ready", release) for name, release in sorted(self.there.items())]


class Screen(io.StringIO):
    """A text stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@dataclass
class Run:
    """How a command ended."""

    code: int
    out: str
    err: str


def cli(
    *argv: str,
    folder: Path,
    cloud: FakeCloud | None = None,
    answer: str | None = None,
    stdin: io.TextIOBase | None = None,
    environ: Mapping[str, str] | None = None,
) -> Run:
    """Run a command line; `answer` is what somebody types on a terminal, None where there is none."""
    stdout = io.StringIO()
    stderr = io.StringIO() if answer is None else Screen()
    keyboard = stdin or (io.StringIO() if answer is None else Screen(answer))
    terminal = Terminal(keyboard, stdout, stderr, environ or {"TERM": "dumb"})
    make = (cloud or FakeCloud()).make
    code = run(argv, Session(terminal, folder, make))
    return Run(code, stdout.getvalue(), stderr.getvalue())
