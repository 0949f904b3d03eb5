"""On which line of a TOML text each key stands; the standard library's parser doesn't tell.

Good enough for messages: keys within inline tables and multi-line values are not looked for.
"""

from __future__ import annotations

import re

from clouddeploy.schema import Place

KEY = r"""(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')"""
DOTTED = rf"{KEY}(?:\s*\.\s*{KEY})*"
HEADER = re.compile(rf"\s*(\[\[?)\s*({DOTTED})\s*\]\]?")
SETTING = re.compile(rf"\s*({DOTTED})\s*=")


def _parts(dotted: str) -> list[str]:
    return [part.strip("\"'") for part in re.findall(KEY, dotted)]


def key_lines(text: str) -> dict[Place, int]:
    """Line numbers, from 1, by place; the first line on which a place is named counts."""
    lines: dict[Place, int] = {}
    counts: dict[Place, int] = {}
    table: Place = ()
    closing = ""
    for number, line in enumerate(text.splitlines(), 1):
        if closing:
            closing = "" if closing in line else closing
            continue
        if header := HEADER.match(line):
            table = _enter(_parts(header[2]), counts, new=header[1] == "[[")
            lines.setdefault(table, number)
        elif setting := SETTING.match(line):
            lines.setdefault((*table, *_parts(setting[1])), number)
            opened = re.match(r"""\s*(\"{3}|'{3})""", line[setting.end() :])
            if opened and opened[1] not in line[setting.end() + opened.end() :]:
                closing = opened[1]
    return lines


def _enter(parts: list[str], counts: dict[Place, int], *, new: bool) -> Place:
    place: Place = ()
    for depth, part in enumerate(parts):
        place = (*place, part)
        last = depth == len(parts) - 1
        if new and last:
            counts[place] = counts.get(place, -1) + 1
        if place in counts:
            place = (*place, counts[place])
    return place
