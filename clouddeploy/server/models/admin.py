"""Endpoints that change which versions are loaded and who gets which: ``/v1/admin/models…``.

There are none unless a token is set. A change is written to the state file, which every worker follows; a
version that is to be loaded or unloaded is waited for in each of them.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clouddeploy.errors import SpecError
from clouddeploy.runtime.errors import WireError
from clouddeploy.server.message import Response
from clouddeploy.server.models.reports import read_reports
from clouddeploy.server.models.state import NAME, Wish, as_json, parse_shadow, parse_weights

if TYPE_CHECKING:
    from clouddeploy.server.app import App
    from clouddeploy.server.exchange import Exchange
    from clouddeploy.server.models.registry import Models
    from clouddeploy.server.settings import ServerSettings

TOKEN = "CLOUDDEPLOY_SERVE_ADMIN_TOKEN"
PATIENCE_S = 600.0
LOOK_S = 0.05
BASE = "/v1/admin/models"
Change = Callable[[Wish, Any], Wish]


def install(app: App) -> None:
    """Add the endpoints, where a token is set, and let shadows follow the answers."""
    app.models.shadows.attach(app.after)
    if token_of(app.settings):
        Admin(app).install()


def token_of(settings: ServerSettings) -> str:
    """The token that the endpoints ask for, as it is now; empty when there is none."""
    if settings.admin_token.name:
        try:
            return Path(settings.admin_token).read_text("utf-8").strip()
        except OSError as error:
            raise SpecError(
                f"the admin token can't be read from {settings.admin_token}", why=str(error), fix="correct it"
            ) from error
    return os.environ.get(TOKEN, "").strip()


class Admin:
    """The endpoints of one worker.

    Args:
        app: the worker's.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._models: Models = app.models

    def install(self) -> None:
        """Add them."""
        add = self._add
        one, version = f"{BASE}/{{model}}", f"{BASE}/{{model}}/versions/{{version}}"
        add("GET", BASE, self._list)
        add("GET", one, self._show)
        add("POST", f"{version}/load", self._load)
        add("POST", f"{version}/unload", self._unload)
        for what, change in CHANGES.items():
            add("PUT", f"{one}/{what}", self._put(what, change))
            add("DELETE", f"{one}/{what}", self._put(what, change, reset=True))

    def _add(self, method: str, path: str, act: Callable[[Exchange], Awaitable[Any]]) -> None:
        async def guarded(exchange: Exchange) -> None:
            self._check(exchange)
            try:
                value = await act(exchange)
            except SpecError as error:
                raise WireError("bad_request", error.what, f"{error.why}; {error.fix}".strip("; ")) from error
            exchange.reply(Response(200, json.dumps(value).encode()))

        self._app.routes.add(method, path, guarded)

    def _check(self, exchange: Exchange) -> None:
        headers = exchange.request.headers
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        given = headers.get("x-admin-token") or (bearer.strip() if scheme.lower() == "bearer" else "")
        token = token_of(self._app.settings)
        if not given or not token or not hmac.compare_digest(given.encode(), token.encode()):
            raise WireError(
                "unauthorized",
                "this needs the server's admin token",
                "send it as `authorization: Bearer …` or `x-admin-token`",
            )

    async def _list(self, exchange: Exchange) -> dict[str, Any]:
        return {"models": {name: self._described(name) for name in self._known()}, "workers": self._reports()}

    async def _show(self, exchange: Exchange) -> dict[str, Any]:
        return self._described(self._name(exchange))

    def _described(self, name: str) -> dict[str, Any]:
        here = self._models.status().models.get(name, {"versions": {}})
        return {**here, "wish": as_json(self._models.wishes.get(name, Wish()))}

    def _known(self) -> set[str]:
        return {*self._models.status().models, *self._models.wishes}

    def _reports(self) -> dict[str, Any]:
        folder = self._app.settings.run_folder
        return read_reports(folder) if folder.name else {}

    def _name(self, exchange: Exchange) -> str:
        name = str(exchange.attributes["model"])
        if name not in self._known():
            known = ", ".join(sorted(self._known())) or "none"
            raise WireError("not_found", f"there is no model {name[:100]!r}", f"models: {known}")
        return name

    def _change(self, name: str, how: Callable[[Wish], Wish]) -> None:
        self._models.state.change(name, how)
        self._models.follow()

    def _put(self, what: str, change: Change, *, reset: bool = False) -> Callable[[Exchange], Awaitable[Any]]:
        async def act(exchange: Exchange) -> dict[str, Any]:
            name = self._name(exchange)
            value = None if reset else _json(exchange.request.body)
            self._change(name, lambda wish: self._checked(name, what, change(wish, value)))
            return self._described(name)

        return act

    def _checked(self, name: str, what: str, wish: Wish) -> Wish:
        """Refuse what would point at a version that doesn't answer."""
        pointed = {*wish.weights, *wish.labels.values(), *({wish.shadow.version} if wish.shadow else ())}
        lacking = [
            version
            for version in sorted(pointed)
            if any(row.get("state") != "available" for row in self._rows(name, version))
        ]
        if lacking and what != "policy":
            raise WireError(
                "bad_request",
                f"model {name!r} version {lacking[0]} isn't loaded",
                f"POST {BASE}/{name}/versions/{lacking[0]}/load first",
            )
        return wish

    async def _load(self, exchange: Exchange) -> dict[str, Any]:
        name, version = self._name(exchange), _version(exchange)
        await self._appears(name, version)

        def how(wish: Wish) -> Wish:
            rest = tuple(one for one in wish.unload if one != version)
            load = tuple(dict.fromkeys((*wish.load, version)))
            return replace(wish, load=load, unload=rest, attempt=wish.attempt + 1)

        self._change(name, how)
        return await self._until(name, version, "available")

    async def _appears(self, name: str, version: str) -> None:
        """Return when the version is known here; another worker may have seen its folder a moment before.

        Raises:
            WireError: it doesn't appear.
        """
        loop, settings = asyncio.get_running_loop(), self._app.settings
        end = loop.time() + settings.settle_s + settings.watch_s + LOOK_S
        while version not in self._models.status().models.get(name, {}).get("versions", {}):
            if loop.time() > end:
                known = ", ".join(self._models.status().models.get(name, {}).get("versions", {}))
                raise WireError("not_found", f"model {name!r} has no version {version}", f"versions: {known}")
            self._models.keeper.wake()
            await asyncio.sleep(LOOK_S)

    async def _unload(self, exchange: Exchange) -> dict[str, Any]:
        name, version = self._name(exchange), _version(exchange)

        def how(wish: Wish) -> Wish:
            pointed = {*wish.weights, *wish.labels.values(), *({wish.shadow.version} if wish.shadow else ())}
            if version in pointed:
                raise WireError(
                    "bad_request",
                    f"weights, labels or a shadow of model {name!r} name version {version}",
                    "change them first",
                )
            load = tuple(one for one in wish.load if one != version)
            return replace(wish, load=load, unload=tuple(dict.fromkeys((*wish.unload, version))))

        await self._appears(name, version)
        self._change(name, how)
        return await self._until(name, version, "unloaded")

    async def _until(self, name: str, version: str, wanted: str) -> dict[str, Any]:
        """The model when every worker has done it.

        Raises:
            WireError: a worker can't, or it takes too long.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + PATIENCE_S
        attempt = self._models.wishes.get(name, Wish()).attempt
        while loop.time() < end:
            rows = self._rows(name, version)
            failed = [row for row in rows if row.get("state") == "failed" and row.get("attempt") == attempt]
            if failed and wanted == "available":
                raise WireError(
                    "bad_request",
                    f"model {name!r} version {version} can't be loaded: {failed[0]['reason']}",
                    "mend it, then load it again",
                )
            states = {row.get("state") for row in rows}
            if states <= {wanted} or (wanted == "unloaded" and states <= {"unloaded", "failed", None}):
                return self._described(name)
            await asyncio.sleep(LOOK_S)
        raise WireError("not_ready", f"version {version} isn't {wanted} in every worker yet", "ask again")

    def _rows(self, name: str, version: str) -> list[dict[str, Any]]:
        """How the version stands here and in every other worker that lives."""
        here = self._models.status().models.get(name, {"versions": {}})["versions"].get(version, {})
        others = [
            report["models"].get(name, {"versions": {}})["versions"].get(version, {})
            for report in self._reports().values()
            if report["pid"] != os.getpid() and _lives(report["pid"])
        ]
        return [here, *others]


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise WireError("bad_json", f"the body is no JSON: {error}", "send a JSON object") from error


def _version(exchange: Exchange) -> str:
    version = str(exchange.attributes["version"])
    if not NAME.fullmatch(version):
        raise WireError("bad_request", f"{version[:100]!r} is no version", "send one such as 2")
    return version


def _weights(wish: Wish, value: Any) -> Wish:
    """``{"1": 90, "2": 10}``, or ``{"weights": {…}, "sticky": "header:x-user", "salt": ""}``."""
    if value is None:
        return replace(wish, weights={}, sticky="", salt="")
    if isinstance(value, dict) and isinstance(value.get("weights"), dict):
        known = {"weights", "sticky", "salt"}
        if set(value) - known:
            raise SpecError(f"weights: {min(set(value) - known)!r} is unknown", why=f"keys: {sorted(known)}")
        weights = parse_weights(value["weights"], "weights")
        sticky, salt = str(value.get("sticky", wish.sticky)), str(value.get("salt", wish.salt))
        return replace(wish, weights=weights, sticky=sticky, salt=salt)
    return replace(wish, weights=parse_weights(value, "weights"))


def _labels(wish: Wish, value: Any) -> Wish:
    return replace(wish, labels=Wish.parse("", {"labels": value or {}}).labels)


def _shadow(wish: Wish, value: Any) -> Wish:
    return replace(wish, shadow=parse_shadow(value, "shadow"))


def _policy(wish: Wish, value: Any) -> Wish:
    """``{"policy": "latest:2"}``; what was loaded or unloaded by hand is left to the policy again."""
    policy = value.get("policy", "") if isinstance(value, dict) else value or ""
    return replace(wish, policy=Wish.parse("", {"policy": policy}).policy, load=(), unload=())


CHANGES: dict[str, Change] = {
    "weights": _weights,
    "labels": _labels,
    "shadow": _shadow,
    "policy": _policy,
}
