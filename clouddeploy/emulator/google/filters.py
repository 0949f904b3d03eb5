"""The filter language of Cloud Logging and Cloud Monitoring, as far as it is in use.

"Logging query language": comparisons with ``= != > >= < <= : =~ !~``, ``AND`` (also by juxtaposition),
``OR``, ``NOT`` or ``-``, parentheses, a lone value, which is looked for everywhere.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from clouddeploy.emulator.google.errors import invalid

Test = Callable[[Mapping[str, Any]], bool]
SEVERITIES = ("DEFAULT", "DEBUG", "INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL", "ALERT", "EMERGENCY")
WORD = re.compile(
    r"\s*(?:--[^\n]*\n\s*)*("
    r'"(?:[^"\\]|\\.)*"|!=|>=|<=|=~|!~|[=<>:()]|'
    r'[^\s=<>!:()"~]*[^\s=<>!:()"~.](?:\."(?:[^"\\]|\\.)*")+|[^\s=<>!:()"~]+|[!~])'
)
OPERATORS = ("=", "!=", ">", ">=", "<", "<=", ":", "=~", "!~")
TIMES = ("timestamp", "receiveTimestamp")


def compile_filter(text: str) -> Test:
    """The filter as a test of an entry.

    Raises:
        ApiError: it can't be read.
    """
    words = WORD.findall(text.strip() + " ")
    if not words:
        return lambda _: True
    parser = _Parser(words, text)
    test = parser.either()
    if parser.words:
        raise parser.unreadable()
    return test


class _Parser:
    def __init__(self, words: list[str], text: str) -> None:
        self.words = words[::-1]
        self.text = text

    def unreadable(self) -> Exception:
        near = self.words[-1] if self.words else "the end"
        return invalid(f"Unparseable filter: syntax error at {near!r} in {self.text!r}", "filter")

    def _take(self, *wanted: str) -> bool:
        if self.words and self.words[-1].upper() in wanted:
            self.words.pop()
            return True
        return False

    def either(self) -> Test:
        tests = [self._all()]
        while self._take("OR"):
            tests.append(self._all())
        return lambda entry: any(test(entry) for test in tests)

    def _all(self) -> Test:
        tests = [self._one()]
        while self.words and self.words[-1] != ")" and self.words[-1].upper() != "OR":
            self._take("AND")
            tests.append(self._one())
        return lambda entry: all(test(entry) for test in tests)

    def _one(self) -> Test:
        if self._take("NOT", "-"):
            inner = self._one()
            return lambda entry: not inner(entry)
        if self.words and re.match(r"-[A-Za-z_]", self.words[-1]):
            self.words[-1] = self.words[-1][1:]
            opposite = self._one()
            return lambda entry: not opposite(entry)
        if self._take("("):
            inner = self.either()
            if not self._take(")"):
                raise self.unreadable()
            return inner
        if not self.words or self.words[-1] in OPERATORS:
            raise self.unreadable()
        field = _plain(self.words.pop())
        if not self.words or self.words[-1] not in OPERATORS:
            return lambda entry: field.lower() in json.dumps(entry).lower()
        operator = self.words.pop()
        return self._comparison(field, operator)

    def _comparison(self, field: str, operator: str) -> Test:
        if self._take("("):
            values = []
            while not self._take(")"):
                if not self.words:
                    raise self.unreadable()
                if not self._take("OR"):
                    values.append(_plain(self.words.pop()))
            return lambda entry: any(_holds(entry, field, operator, v) for v in values)
        if not self.words:
            raise self.unreadable()
        value = _plain(self.words.pop())
        # A time without quotes is cut at its colons: put it together again.
        while self.words and self.words[-1] == ":" and len(self.words) > 1 and field in TIMES:
            self.words.pop()
            value += f":{self.words.pop()}"
        return lambda entry: _holds(entry, field, operator, value)


def _plain(word: str) -> str:
    return str(json.loads(word)) if word.startswith('"') else word.replace('"', "")


def _holds(entry: Mapping[str, Any], field: str, operator: str, wanted: str) -> bool:
    found = _look_up(entry, field)
    if operator == "!=":
        return not _equal(found, wanted)
    if operator == "!~":
        return found is None or not re.search(wanted, str(found))
    if found is None:
        return False
    if operator == "=":
        return _equal(found, wanted)
    if operator == ":":
        return wanted == "*" or wanted.lower() in str(found).lower()
    if operator == "=~":
        return re.search(wanted, str(found)) is not None
    left, right = _ordered(field, found), _ordered(field, wanted)
    try:
        return bool(
            {">": left > right, ">=": left >= right, "<": left < right, "<=": left <= right}[operator]
        )
    except TypeError:
        return False


def _equal(found: Any, wanted: str) -> bool:
    if isinstance(found, bool):
        return str(found).lower() == wanted.lower()
    return found is not None and str(found) == wanted


def _ordered(field: str, value: Any) -> Any:
    if field == "severity":
        return SEVERITIES.index(value) if value in SEVERITIES else 0
    if field in TIMES:
        return _time(str(value))
    try:
        return float(value)
    except (TypeError, ValueError):
        return str(value)


def _time(text: str) -> Any:
    import datetime as dt

    try:
        found = dt.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise invalid(f"Unparseable filter: {text!r} is no timestamp", "filter") from None
    return found if found.tzinfo else found.replace(tzinfo=dt.UTC)


def _look_up(entry: Mapping[str, Any], field: str) -> Any:
    found: Any = entry
    parts = field.split(".")
    while parts:
        if not isinstance(found, Mapping):
            return None
        rest = ".".join(parts)
        if rest in found:  # a label whose name has dots
            return found[rest]
        found = found.get(parts.pop(0))
    return found
