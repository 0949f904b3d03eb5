"""The provider-neutral autoscaling policy: how many copies run, and what makes them more or fewer."""

from __future__ import annotations

from dataclasses import InitVar, dataclass

from clouddeploy.errors import SpecError
from clouddeploy.validation import check_number


@dataclass(frozen=True, slots=True)
class RequestsPerMinute:
    """A target: requests per copy per minute."""

    value: float


@dataclass(frozen=True, slots=True)
class Concurrency:
    """A target: requests in progress per copy."""

    value: float


@dataclass(frozen=True, slots=True)
class Cpu:
    """A target: processor load of a copy as a share, 0.01 to 1."""

    value: float


@dataclass(frozen=True, slots=True)
class Utilization:
    """A target: share of the provisioned capacity in use, 0.1 to 0.9."""

    value: float


Target = RequestsPerMinute | Concurrency | Cpu | Utilization
TARGETS: dict[type[Target], str] = {
    RequestsPerMinute: "requests_per_minute",
    Concurrency: "concurrency",
    Cpu: "cpu",
    Utilization: "utilization",
}
"""The targets, and the field of `Autoscaling` that each sets."""


def _field_of(target: object) -> str:
    for kind, name in TARGETS.items():
        if isinstance(target, kind):
            return name
    raise SpecError(
        f"Autoscaling.target is {target!r}",
        why=f"allowed: {', '.join(kind.__name__ for kind in TARGETS)}",
        fix="write for example target=Concurrency(8)",
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """A change of the scaling limits at a planned time.

    Args:
        cron: five fields (minute hour day-of-month month day-of-week), as in crontab.
        min: copies kept from then on, 0 to 10,000.
        max: copies allowed from then on, 1 to 10,000.
        timezone: IANA name, such as ``"Europe/Dublin"``.
    """

    cron: str
    min: int | None = None
    max: int | None = None
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        if len(str(self.cron).split()) != 5:
            raise SpecError(
                f"Schedule.cron is {self.cron!r}",
                why="allowed: five fields, minute hour day-of-month month day-of-week",
                fix="write for example '0 8 * * 1-5' for eight o'clock on weekdays",
            )
        if self.min is None and self.max is None:
            raise SpecError(
                "Schedule changes nothing", why="neither min nor max is given", fix="give one of them"
            )
        _limits(self, self.min, self.max)


def _limits(owner: object, low: int | None, high: int | None) -> None:
    if low is not None:
        check_number(owner, "min", low, 0, 10_000, "copies")
    if high is not None:
        check_number(owner, "max", high, 1, 10_000, "copies")
    if low is not None and high is not None and low > high:
        raise SpecError(
            f"{type(owner).__name__}.min is {low} and max is {high}",
            why="min must not exceed max",
            fix=f"set max to {low} or more",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Autoscaling:
    """How many copies run, and what makes them more or fewer.

    At most one of `requests_per_minute`, `concurrency`, `cpu` and `utilization` is the target
    that is held by target tracking; none means a fixed range changed by schedules alone.
    ``target=Concurrency(8)`` says the same as ``concurrency=8``.

    Args:
        min: copies that always run, 0 to 10,000.
        max: copies at the most, 1 to 10,000.
        requests_per_minute: requests per copy per minute, above 0.
        concurrency: requests in progress per copy, above 0.
        cpu: processor load of a copy as a share, 0.01 to 1.
        utilization: share of the provisioned capacity in use, 0.1 to 0.9.
        scale_out_cooldown_s: seconds between two increases, 0 to 3,600; None is the provider's own.
        scale_in_cooldown_s: seconds between two decreases, 0 to 3,600; None is the provider's own.
        schedules: changes of the limits at planned times.
        target: the target, as an object that names itself; it sets the field of its name.
    """

    min: int = 1
    max: int = 1
    requests_per_minute: float | None = None
    concurrency: float | None = None
    cpu: float | None = None
    utilization: float | None = None
    scale_out_cooldown_s: int | None = None
    scale_in_cooldown_s: int | None = None
    schedules: tuple[Schedule, ...] = ()
    target: InitVar[Target | None] = None

    def __post_init__(self, target: Target | None) -> None:
        _limits(self, self.min, self.max)
        targets = [n for n in TARGETS.values() if getattr(self, n) is not None]
        if target is not None:
            targets.append(_field_of(target))
        if len(targets) > 1:
            raise SpecError(
                f"Autoscaling has {len(targets)} targets: {', '.join(targets)}",
                why="one target is tracked; two would work against each other",
                fix=f"keep one of them, such as {targets[0]}",
            )
        if target is not None:
            object.__setattr__(self, targets[0], target.value)
        for name in ("requests_per_minute", "concurrency"):
            if getattr(self, name) is not None:
                check_number(self, name, getattr(self, name), 0.001, 1e9, "", whole=False)
        if self.cpu is not None:
            check_number(self, "cpu", self.cpu, 0.01, 1, "(a share, not percent)", whole=False)
        if self.utilization is not None:
            check_number(
                self, "utilization", self.utilization, 0.1, 0.9, "(a share, not percent)", whole=False
            )
        for name in ("scale_out_cooldown_s", "scale_in_cooldown_s"):
            if getattr(self, name) is not None:
                check_number(self, name, getattr(self, name), 0, 3600, "seconds")
        object.__setattr__(self, "schedules", tuple(self.schedules))
