"""The function's share of the account's concurrency: whether what is wished for can be had.

Lambda Developer Guide, "Understanding Lambda function scaling".
"""

from __future__ import annotations

from clouddeploy.errors import CloudDeployError, SpecError
from clouddeploy.providers.aws.client import Aws
from clouddeploy.providers.aws_lambda.options import Options
from clouddeploy.providers.aws_lambda.scaling import is_scaled, kept_running
from clouddeploy.spec import Autoscaling, Deployment

UNRESERVED = 100
"""Concurrency that must stay unreserved (Developer Guide, "Configuring reserved concurrency")."""


def reserved(deployment: Deployment, options: Options) -> int | None:
    """Requests served at once at the most, which either of two fields may say.

    Raises:
        SpecError: they say different things, or less than one.
    """
    given, asked = options.reserved_concurrency, deployment.compute.max_concurrency
    if given is not None and given < 1:
        raise SpecError(
            f"reserved_concurrency is {given}",
            why="a function that may serve no request can't be tried either",
            fix="set it to 1 or more, or leave it out",
        )
    if given is not None and asked is not None and given != asked:
        raise SpecError(
            f"reserved_concurrency is {given} and Compute.max_concurrency is {asked}",
            why="both say how many requests the function serves at once at the most",
            fix="give one of them",
        )
    count = given if given is not None else asked
    refuse_over_reserved(deployment.autoscaling, count)
    return count


def refuse_over_reserved(wish: Autoscaling, count: int | None) -> None:
    """Refuse more copies kept running than the function may have at once.

    Raises:
        SpecError: there would be more than `count`.
    """
    most = max(kept_running(wish), wish.max if is_scaled(wish) else 0)
    if count is not None and most > count:
        raise SpecError(
            f"{most} copies are to be kept running and {count} requests may be served at once",
            why="provisioned concurrency can't exceed the function's reserved concurrency",
            fix=f"set reserved_concurrency to {most} or more, or autoscaling.max to {count} or less",
        )


def refuse_over_account(aws: Aws, name: str, wanted: int) -> tuple[str, ...]:
    """Look whether the account has the concurrency that is to be set apart; warns where it can't.

    Raises:
        SpecError: it hasn't.
    """
    if not wanted:
        return ()
    try:
        limit = aws("lambda", "GetAccountSettings")["AccountLimit"]["ConcurrentExecutions"]
    except CloudDeployError as error:
        return (f"the account's concurrency limit can't be looked up: {error.what}",)
    if wanted > limit - UNRESERVED:
        raise SpecError(
            f"{wanted} requests at once are to be set apart for {name!r}",
            why=f"the account serves {limit} at once, and {UNRESERVED} of them must stay unreserved",
            fix=f"set {max(1, limit - UNRESERVED)} or less, or ask for more in Service Quotas",
        )
    return ()
