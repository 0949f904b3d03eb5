"""A role that was just made, and that a service can't use yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from clouddeploy.engine.waiting import wait_until
from clouddeploy.errors import CloudDeployError, CredentialsError, Timeout

T = TypeVar("T")
ROLE_TIMEOUT_S = 60.0
"""A new role takes effect some seconds later everywhere (IAM User Guide, "Changes that I make are not
always immediately visible")."""


def assuming(call: Callable[[], T], role: str, *, texts: Sequence[str], product: str, service: str) -> T:
    """Make `call`, again and again for a while if the service can't yet assume `role`.

    Args:
        call: what needs the role.
        role: its ARN.
        texts: lower-case parts of the messages that mean 'not yet'; any other failure is one.
        product: the service's name in messages, such as ``SageMaker``.
        service: its principal, such as ``sagemaker.amazonaws.com``.

    Raises:
        CredentialsError: it still can't.
    """
    last: list[CloudDeployError] = []

    def attempt() -> tuple[T] | None:
        try:
            return (call(),)
        except CloudDeployError as error:
            message = f"{error.what} {error.why}".lower()
            if not any(text in message for text in texts):
                raise
            last.append(error)
            return None

    try:
        return wait_until(
            attempt, what=f"role {role} to be assumable", timeout_s=ROLE_TIMEOUT_S, first_s=1.0
        )[0]
    except Timeout as error:
        if not last:
            raise
        raise CredentialsError(
            f"{product} can't assume the role {role}",
            why=last[-1].why,
            fix=f"let the role's trust policy allow sts:AssumeRole to {service}",
        ) from error
