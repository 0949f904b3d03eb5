"""JSON without the extensions of Python's parser: no NaN, no duplicate keys, no crash on any text."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from clouddeploy.runtime.errors import WireError

_FIX = 'send {"inputs": [...]} as JSON in UTF-8'


def _no_constant(word: str) -> NoReturn:
    raise WireError(
        "bad_json", f"the body holds {word}, which JSON has not", "send finite numbers, or application/x-npy"
    )


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise WireError("bad_json", f"the key {twice[:80]!r} stands twice in one object", "keep one of them")
    return found


_DECODER = json.JSONDecoder(parse_constant=_no_constant, object_pairs_hook=_no_duplicates)

_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)


def text_of(body: bytes | str) -> str:
    """`body` as text, without a byte order mark.

    Raises:
        WireError: it isn't UTF-8.
    """
    if isinstance(body, str):
        return body.removeprefix("\ufeff")
    try:
        return body.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise WireError("bad_json", f"the body is not UTF-8 at byte {error.start}", _FIX) from error


def loads(body: bytes | str) -> Any:
    """Parse strict JSON.

    Raises:
        WireError: ``bad_json``, with where and why.
    """
    try:
        return _DECODER.decode(text_of(body))
    except RecursionError as error:
        raise WireError("bad_json", "the body is nested too deeply", _FIX) from error
    except json.JSONDecodeError as error:
        raise WireError(
            "bad_json", f"{error.msg} at line {error.lineno} column {error.colno}", _FIX
        ) from error
    except ValueError as error:
        raise WireError("bad_json", f"a number can't be read: {error}", _FIX) from error


def dumps(value: Any) -> bytes:
    """`value` as compact strict JSON."""
    return _ENCODER.encode(value).encode()
