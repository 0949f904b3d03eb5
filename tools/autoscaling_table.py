"""Write the table of docs/autoscaling.md from what each provider says of the policy's fields.

``python tools/autoscaling_table.py`` rewrites it; with ``--check`` it only tells whether it is up to date.
"""

from __future__ import annotations

import sys
from dataclasses import fields
from pathlib import Path

from clouddeploy import registry
from clouddeploy.autoscaling.policy import Autoscaling

PAGE = Path(__file__).resolve().parent.parent / "docs" / "autoscaling.md"
START, END = "<!-- table -->", "<!-- end of table -->"
LEFT_OUT = ("memory",)


def table() -> str:
    """One section for each target, one row for each field."""
    parts = []
    for target in registry.targets():
        if target in LEFT_OUT:
            continue
        told = registry.kind_of(target).autoscaling
        rows = [
            f"| `{field.name}` | {told[field.name].support} | {told[field.name].how} |"
            for field in fields(Autoscaling)
        ]
        parts.append(
            "\n".join([f"### {target}", "", "| field | | what becomes of it |", "|---|---|---|", *rows])
        )
    return "\n\n".join(parts)


def renewed(page: str) -> str:
    """`page` with the table of today."""
    head, _, rest = page.partition(START)
    _, _, tail = rest.partition(END)
    return f"{head}{START}\n\n{table()}\n\n{END}{tail}"


def main() -> int:
    page = PAGE.read_text("utf-8")
    if page == renewed(page):
        return 0
    if "--check" in sys.argv:
        print("docs/autoscaling.md is out of date: run python tools/autoscaling_table.py")
        return 1
    PAGE.write_text(renewed(page), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
