"""Who gets which version: by chance, or for one key always the same one."""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from clouddeploy.errors import SpecError

if TYPE_CHECKING:
    from clouddeploy.server.message import Request

KINDS = ("header", "cookie", "field")
LONGEST = 1 << 53
"""Steps of a hash as a number between 0 and 1: as many as a float tells apart."""


def check_sticky(text: str) -> str:
    """`text` when it says where a key is found: ``header:x-user``, ``cookie:uid``, ``field:user.id``.

    Raises:
        SpecError: it doesn't.
    """
    kind, _, name = text.partition(":")
    if text and (kind not in KINDS or not name):
        raise SpecError(
            f"sticky is {text!r}",
            why="allowed: header:<name>, cookie:<name>, field:<path in the JSON body>",
            fix="choose one of them, or leave it empty",
        )
    return text


def key_of(sticky: str, request: Request) -> str | None:
    """The value that decides for `request`; None when it has none."""
    kind, _, name = sticky.partition(":")
    if kind == "header":
        return request.headers.get(name.lower()) or None
    if kind == "cookie":
        return _cookie(request.headers.get("cookie", ""), name)
    if kind == "field":
        return _field(request.body, name)
    return None


def _cookie(text: str, wanted: str) -> str | None:
    for part in text.split(";"):
        name, _, value = part.strip().partition("=")
        if name == wanted:
            return unquote(value.strip('"')) or None
    return None


def _field(body: bytes, path: str) -> str | None:
    try:
        value: Any = json.loads(body)
    except (ValueError, RecursionError):
        return None
    for part in path.split("."):
        if not isinstance(value, dict) or part not in value:
            return None
        value = value[part]
    if isinstance(value, str):
        return value or None
    return None if value is None or isinstance(value, dict | list) else json.dumps(value)


def share(model: str, salt: str, key: str, version: str) -> float:
    """A number between 0 and 1 (neither included) that the four always give, in any process."""
    text = json.dumps([model, salt, key, version], separators=(",", ":")).encode()
    number = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 11
    return (number + 0.5) / LONGEST


def pick(model: str, salt: str, key: str, weights: Mapping[str, float]) -> str:
    """The version for `key`, each by its weight (weighted rendezvous hashing).

    Who moves when weights change, or a version comes or goes, moves only from a version whose share
    became smaller to one whose share became larger.
    """
    return min(weights, key=lambda version: -math.log(share(model, salt, key, version)) / weights[version])


def draw(weights: Mapping[str, float]) -> str:
    """A version by chance, each by its weight."""
    return random.choices(list(weights), list(weights.values()))[0]
