"""``clouddeploy.toml``: a deployment written down in a file.

Reading the file touches nothing else; `Config.deployment` then reads the model it names. Every
mistake is a `ConfigError` that tells the file, the line where it can be found, and the way to mend it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from clouddeploy.errors import ConfigError, SpecError
from clouddeploy.schema import Place, ShapeError, convert_keys, descriptions, hints_of, summary, table_schema
from clouddeploy.spec import Deployment, check_name

if TYPE_CHECKING:
    from clouddeploy.model import Model

FILE_NAME = "clouddeploy.toml"
SCHEMA_ID = "urn:clouddeploy:schema:clouddeploy.toml"
MINIMAL = """\
name = "digits"
target = "sagemaker"

[model]
file = "model.pt2"
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelSource:
    """Where the model is; paths are relative to the file's folder.

    Args:
        file: the weights, a `.pt2`, `.pt`, `.safetensors` or `.onnx` file. Give this or `folder`.
        folder: a folder with whatever the handler's `load` reads. Give this or `file`.
        handler: the Python file with `load` and `predict`; none uses the built-in one of the format.
        requirements: packages that the handler needs: a requirements file, or a list of them.
        include: further code files beside the handler.
        example: a `.json` file with a batch of inputs, which the model is tried with.
        source: the class that weights without a program belong to, as `net.py:Net`.
        init: constructor arguments of that class.
        allow_pickle: accept weights that execute code when they are loaded. Only for files you made.
    """

    file: str | None = None
    folder: str | None = None
    handler: str | None = None
    requirements: tuple[str, ...] | str = ()
    include: tuple[str, ...] = ()
    example: str | None = None
    source: str | None = None
    init: Mapping[str, int | float | str | bool] = field(default_factory=dict)
    allow_pickle: bool = False

    def __post_init__(self) -> None:
        if bool(self.file) == bool(self.folder):
            raise SpecError(
                "ModelSource.file and folder are both given" if self.file else "ModelSource.file isn't given",
                why="allowed: either file (weights) or folder (what the handler loads)",
                fix="keep one of them" if self.file else 'add a line such as file = "model.pt2"',
            )
        if self.folder and not self.handler:
            raise SpecError(
                "ModelSource.handler isn't given",
                why="a folder has no built-in handler",
                fix='add a line such as handler = "handler.py"',
            )


TARGET_OPTION = int | float | str | bool | Mapping[str, str]
TEXTS = {
    **{k: v for k, v in descriptions(Deployment).items() if k != "model"},
    "target": "where it goes, such as `sagemaker`; `--target` on the command line wins.",
    "model": summary(ModelSource),
    "targets": "options of each target, such as `region` and `profile`.",
}


def _hints() -> dict[str, Any]:
    wish = {k: v for k, v in hints_of(Deployment, Model=object).items() if k not in ("name", "model")}
    return {
        "name": str,
        "target": str,
        "model": ModelSource,
        **wish,
        "targets": Mapping[str, Mapping[str, TARGET_OPTION]],
    }


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of ``clouddeploy.toml``."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": FILE_NAME,
        "description": "A deployment of a machine-learning model.",
        **table_schema(_hints(), TEXTS, needed=["name", "model"]),
    }


@dataclass(frozen=True)
class Config:
    """What a ``clouddeploy.toml`` says.

    Args:
        path: the file.
        name: the deployment's name.
        source: where its model is.
        target: where it goes, where the file says so.
        wish: further fields of `Deployment`.
        targets: options by target.
        lines: line numbers of the keys, for messages.
    """

    path: Path
    name: str
    source: ModelSource
    target: str | None = None
    wish: Mapping[str, Any] = field(default_factory=dict)
    targets: Mapping[str, Mapping[str, TARGET_OPTION]] = field(default_factory=dict)
    lines: Mapping[Place, int] = field(default_factory=dict, repr=False)

    def options(self, target: str) -> dict[str, TARGET_OPTION]:
        """The options given for `target`."""
        return dict(self.targets.get(target, {}))

    def deployment(self) -> Deployment:
        """The deployment, with its model read and its handler checked.

        Raises:
            ConfigError: a file that it names isn't there.
            ModelError: the model can't be used.
            HandlerError: the handler can't.
        """
        return Deployment(name=self.name, model=self.model(), **self.wish)

    def model(self) -> Model:
        """Read the model; errors as for `deployment`."""
        from clouddeploy.model import Model

        source, handler = self.source, self._file("handler")
        shared: dict[str, Any] = {
            "requirements": self._requirements(),
            "include": source.include,
            "example_input": self._example(),
        }
        if folder := self._file("folder"):
            assert handler is not None, "ModelSource refuses a folder without a handler"
            return Model.from_folder(folder, handler=handler, **shared)
        file = self._file("file")
        assert file is not None, "ModelSource refuses neither file nor folder"
        if source.source:
            shared |= {"source": str(self.path.parent / source.source), "init": dict(source.init)}
        return Model.from_file(file, handler=handler, allow_pickle=source.allow_pickle, **shared)

    def _file(self, key: str) -> Path | None:
        given: str | None = getattr(self.source, key)
        if given is None:
            return None
        path = self.path.parent / given
        if path.is_dir() if key == "folder" else path.is_file():
            return path
        noun = "folder" if key == "folder" else "file"
        raise self._error(
            ShapeError(
                ("model", key),
                f"model.{key} names {given!r}, which isn't a {noun}",
                why=f"looked for {path}",
                fix=f"make it, or correct the path (relative to {self.path.parent})",
            )
        )

    def _requirements(self) -> tuple[str, ...]:
        given = self.source.requirements
        if isinstance(given, tuple):
            return given
        path = self._file("requirements")
        assert path is not None
        lines = [re.sub(r"(^|\s)#.*", "", line).strip() for line in path.read_text("utf-8").splitlines()]
        for number, line in enumerate(lines, 1):
            if line.startswith("-"):
                raise ConfigError(
                    f"{path}, line {number}: {line!r} is an option of pip, not a package",
                    why="the packages are listed in the artifact one by one",
                    fix="list the packages themselves",
                )
        return tuple(line for line in lines if line)

    def _example(self) -> Any:
        path = self._file("example")
        if path is None:
            return None
        import json

        try:
            return json.loads(path.read_text("utf-8"))
        except ValueError as error:
            raise ConfigError(
                f"{path} isn't JSON", why=str(error), fix="write one example input as JSON"
            ) from error

    def _error(self, misfit: ShapeError) -> ConfigError:
        return _located(self.path, self.lines, misfit)


def find(folder: Path) -> Path | None:
    """The ``clouddeploy.toml`` of `folder`, if there is one."""
    path = folder / FILE_NAME
    return path if path.is_file() else None


def load(path: Path | str) -> Config:
    """Read a ``clouddeploy.toml``, given as the file or as its folder.

    Raises:
        ConfigError: it can't be read, or holds something unknown or wrong.
    """
    path = Path(path)
    path = path / FILE_NAME if path.is_dir() else path
    text = _read(path)
    from clouddeploy.toml_lines import key_lines

    table, lines = _parse(path, text), key_lines(text)
    try:
        given = convert_keys(table, _hints(), needed=["name", "model"])
        wish = {k: v for k, v in given.items() if k not in ("name", "target", "model", "targets")}
        _check_wish(given["name"], wish)
    except ShapeError as misfit:
        raise _located(path, lines, misfit) from misfit.__cause__
    return Config(
        path=path.resolve(),
        name=given["name"],
        source=given["model"],
        target=given.get("target"),
        wish=wish,
        targets=given.get("targets", {}),
        lines=lines,
    )


def _check_wish(name: str, wish: Mapping[str, Any]) -> None:
    """Let `Deployment` judge everything but the model, which is read only when it is needed."""
    try:
        check_name(name)
    except SpecError as error:
        raise ShapeError(("name",), error.what, why=error.why, fix=error.fix) from error
    try:
        Deployment(name=name, model=cast("Model", None), **wish)
    except SpecError as error:
        named = re.match(r"Deployment\.(\w+)(?:\['(\w+)'\])?", error.what)
        place = tuple(part for part in named.groups() if part) if named else ()
        what = error.what.removeprefix("Deployment.")
        raise ShapeError(place, what, why=error.why, fix=error.fix) from error


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except FileNotFoundError as error:
        example = "\n".join(f"    {line}" for line in MINIMAL.splitlines())
        raise ConfigError(
            f"there is no {path.name} in {path.parent.resolve()}",
            fix=f"name the folder that holds it, or write one; the least it can hold is\n{example}",
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path} isn't UTF-8 text", why=str(error), fix="save it with the encoding UTF-8"
        ) from error
    except OSError as error:
        raise ConfigError(f"{path} can't be read", why=str(error), fix="correct its permissions") from error


def _parse(path: Path, text: str) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r" \(at line (\d+), column (\d+)\)", str(error))
        line = f", line {found[1]}, column {found[2]}" if found else ""
        why = str(error)[: found.start()] if found else str(error)
        raise ConfigError(
            f"{path}{line}: this isn't TOML",
            why=why,
            fix='keys are written as key = value; text stands in "quotes"',
        ) from error


def _located(path: Path, lines: Mapping[Place, int], misfit: ShapeError) -> ConfigError:
    places = (misfit.place[:length] for length in range(len(misfit.place), 0, -1))
    line = next((lines[place] for place in places if place in lines), None)
    where = f"{path}, line {line}" if line else str(path)
    return ConfigError(f"{where}: {misfit.what}", why=misfit.why, fix=misfit.fix)
