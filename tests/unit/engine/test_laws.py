"""Laws of plan, apply and undo, on generated graphs with generated faults."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clouddeploy.engine import Plan, apply, make_plan, make_removal
from clouddeploy.errors import CloudDeployError, DeployFailed, LeftBehind
from tests.unit.engine.graph_cloud import Cloud, Killed, Objects, Thing

LIMITS = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
CALL = st.integers(0, 35)


@dataclass(frozen=True)
class World:
    """What should be, what is, and what should go."""

    wish: tuple[tuple[str, dict[str, Any], tuple[str, ...], frozenset[str]], ...]
    before: Objects
    stale: tuple[str, ...]
    workers: int

    def cloud(self, **faults: Any) -> Cloud:
        return Cloud({key: dict(state) for key, state in self.before.items()}, **faults)

    def resources(self, cloud: Cloud) -> list[Thing]:
        return [Thing(cloud, *row) for row in self.wish]

    def old(self, cloud: Cloud) -> list[Thing]:
        return [
            Thing(cloud, key, {}, tuple(cloud.objects[key]["uses"]))
            for key in self.stale
            if key in cloud.objects
        ]

    def plan(self, cloud: Cloud) -> Plan:
        return make_plan(self.resources(cloud), stale=self.old(cloud), workers=self.workers)

    def deploy(self, cloud: Cloud) -> CloudDeployError | None:
        """Plan and apply; the error that was raised, if any."""
        try:
            apply(self.plan(cloud), workers=self.workers)
        except CloudDeployError as error:
            return error
        return None

    def after(self) -> Objects:
        return {thing.key: dict(thing.desired()) for thing in self.resources(Cloud())}


@st.composite
def worlds(draw: st.DrawFn) -> World:
    count = draw(st.integers(1, 6))
    keys = [f"new/{number}" for number in range(count)]
    needs = [draw(_some(keys[:number])) for number in range(count)]
    used = {key for row in needs for key in row}
    stale = [f"old/{number}" for number in range(draw(st.integers(0, 3)))]
    before: Objects = {}
    for number, key in enumerate(stale):
        before[key] = {"size": 0, "uses": draw(_some(stale[:number]))}
    rows = []
    for key, need in zip(keys, needs, strict=True):
        fixed = draw(st.booleans()) and key not in used
        rows.append((key, {"size": 1, "zone": "a"}, need, frozenset({"zone"}) if fixed else frozenset()))
        how = draw(st.sampled_from(["missing", "as asked", "smaller", "elsewhere", "on old"]))
        state = {"size": 1, "zone": "a", "uses": need}
        if how == "as asked" and not set(need) <= before.keys():
            how = "missing"
        if how != "missing":
            change = {
                "as asked": {},
                "smaller": {"size": 0, "uses": ()},
                "elsewhere": {"zone": "b", "uses": ()},
                "on old": {"size": 0, "uses": draw(_some(stale))},
            }[how]
            before[key] = {**state, **change}
    order = draw(st.permutations(rows))
    return World(tuple(order), before, tuple(draw(st.permutations(stale))), draw(st.sampled_from([1, 4])))


def _some(items: Sequence[str]) -> st.SearchStrategy[tuple[str, ...]]:
    if not items:
        return st.just(())
    return st.lists(st.sampled_from(items), unique=True, max_size=3).map(lambda found: tuple(sorted(found)))


@LIMITS
@given(worlds())
def test_apply_brings_about_the_wish_and_a_second_one_changes_nothing(world: World) -> None:
    cloud = world.cloud()
    assert world.deploy(cloud) is None
    assert cloud.truth() == world.after()
    again = cloud.restarted()
    plan = world.plan(again)
    assert not plan.changes
    assert "nothing to do" in str(plan)
    apply(plan)
    assert again.mutations() == []


@LIMITS
@given(worlds(), CALL, st.sampled_from(["refused", "lost"]))
def test_a_fault_at_any_call_leaves_nothing_new_and_the_next_apply_ends_as_without_it(
    world: World, at: int, kind: str
) -> None:
    cloud = world.cloud(at=at, kind=kind)
    error = world.deploy(cloud)
    if isinstance(error, LeftBehind):
        wished = world.after()
        assert wished.items() <= cloud.truth().items(), "a fault while tidying up undid the release"
        assert {key for key, _ in error.left} == cloud.truth().keys() - wished.keys()
    elif error is not None:
        assert cloud.truth() == world.before
    else:
        assert cloud.truth() == world.after()
    assert world.deploy(cloud.restarted()) is None
    assert cloud.truth() == world.after()


@LIMITS
@given(worlds(), CALL, st.sampled_from(["killed", "killed-after"]))
def test_a_process_killed_at_any_call_is_finished_by_the_next(world: World, at: int, kind: str) -> None:
    cloud = world.cloud(at=at, kind=kind)
    try:
        world.deploy(cloud)
    except Killed:
        assert cloud.dead
    assert world.deploy(cloud.restarted()) is None
    assert cloud.truth() == world.after()


@LIMITS
@given(worlds(), CALL, st.sampled_from(["refused", "lost"]))
def test_an_undo_that_fails_tells_exactly_what_is_left(world: World, at: int, kind: str) -> None:
    cloud = world.cloud(at=at, kind=kind, then=lambda operation: operation in ("put", "delete"))
    error = world.deploy(cloud)
    truth = cloud.truth()
    if not isinstance(error, DeployFailed) or world.after().items() <= truth.items():
        return
    left = [key for key, _ in error.left]
    assert sorted(left) == sorted(truth.keys() - world.before.keys())
    changed = {key for key in world.before if truth.get(key) != world.before[key]}
    assert {text.partition(" ")[0] for text in error.unrestored} == changed
    assert isinstance(error, LeftBehind) == bool(left or changed)
    if not changed:
        by_hand = cloud.restarted()
        for key in left:
            by_hand("delete", key)
        assert cloud.truth() == world.before


@LIMITS
@given(worlds())
def test_a_removal_takes_everything_in_an_order_that_the_cloud_allows(world: World) -> None:
    cloud = world.cloud()
    assert world.deploy(cloud) is None
    apply(make_removal(world.resources(cloud)), workers=world.workers)
    assert cloud.truth() == {}
    apply(make_removal(world.resources(cloud)), workers=world.workers)


@LIMITS
@given(worlds(), CALL, st.sampled_from(["refused", "lost"]))
def test_a_removal_broken_at_any_call_tells_what_is_left_and_the_next_finishes(
    world: World, at: int, kind: str
) -> None:
    cloud = world.cloud()
    assert world.deploy(cloud) is None
    cloud = replace(cloud.restarted(), at=at, kind=kind)
    left: set[str] = set()
    try:
        apply(make_removal(world.resources(cloud)), workers=world.workers)
    except LeftBehind as error:
        left = {key for key, _ in error.left}
    assert cloud.truth().keys() == left
    apply(make_removal(world.resources(cloud.restarted())))
    assert cloud.truth() == {}
