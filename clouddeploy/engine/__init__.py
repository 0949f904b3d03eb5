"""Plan, apply and undo a graph of resources. Knows no cloud and no machine learning.

plan = make_plan(resources, stale=old)     # reads, changes nothing
print(plan)
apply(plan, emit=print)                    # undone on failure
"""

from clouddeploy.engine.apply import apply
from clouddeploy.engine.events import Cancelled, Emit, Event, report
from clouddeploy.engine.finding import Cost, Finding
from clouddeploy.engine.lock import Lock, LockMoved
from clouddeploy.engine.plan import Action, Plan, Step, make_plan, make_removal
from clouddeploy.engine.resource import Resource, State, differences
from clouddeploy.engine.waiting import check_cancelled, pause, wait_until

__all__ = [
    "Action",
    "Cancelled",
    "Cost",
    "Emit",
    "Event",
    "Finding",
    "Lock",
    "LockMoved",
    "Plan",
    "Resource",
    "State",
    "Step",
    "apply",
    "check_cancelled",
    "differences",
    "make_plan",
    "make_removal",
    "pause",
    "report",
    "wait_until",
]
