"""A plan as it draws itself in a notebook: one self-contained element, no script, no style sheet.

Colours are inherited or of middle brightness, so that it reads on light and on dark.
"""

from __future__ import annotations

from html import escape

from clouddeploy.engine.plan import Action, Plan, Step
from clouddeploy.engine.rendering import SIGNS, change_lines, remark, remarks, summary

COLOURS = {
    Action.CREATE: "#2f9e5b",
    Action.UPDATE: "#b7791f",
    Action.REPLACE: "#b7791f",
    Action.DELETE: "#d64545",
    Action.KEEP: "inherit",
}
_CELL = "padding:2px 12px 2px 0;text-align:left;vertical-align:top;border:0;background:transparent"
_MONO = "font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace"


def plan_html(plan: Plan) -> str:
    """The plan as one HTML element."""
    title = f'<div style="font-weight:600;margin-bottom:4px">{escape(plan.title)}</div>' if plan.title else ""
    rows = "".join(_row(step) for step in plan.steps)
    style = "border-collapse:collapse;border:0;margin:0;color:inherit"
    table = f'<table style="{style}"><tbody>{rows}</tbody></table>' if rows else ""
    below = "".join(f'<div style="opacity:.8">{escape(note)}</div>' for note in remarks(plan))
    last = f'<div style="margin-top:4px;font-weight:600">{escape(summary(plan))}</div>'
    return f'<div class="clouddeploy-plan" style="color:inherit">{title}{table}{below}{last}</div>'


def _row(step: Step) -> str:
    colour = COLOURS[step.action]
    faint = ";opacity:.65" if step.action is Action.KEEP else ""
    changes = change_lines(step) if step.action in (Action.UPDATE, Action.REPLACE) else []
    detail = "<br>".join(escape(text) for text in [*filter(None, [remark(step)]), *changes])
    cells = (
        (
            f"{_MONO};color:{colour};font-weight:600",
            f'<span title="{step.action}">{SIGNS[step.action]}</span>',
        ),
        ("", escape(step.resource.kind)),
        (_MONO, escape(step.name)),
        ("", detail),
    )
    return (
        "<tr>" + "".join(f'<td style="{_CELL};{style}{faint}">{text}</td>' for style, text in cells) + "</tr>"
    )
