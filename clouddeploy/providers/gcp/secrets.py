"""Secrets that the code may read: those that a user names, and bindings on them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from clouddeploy.errors import SpecError
from clouddeploy.providers.gcp.client import Gcp
from clouddeploy.providers.gcp.iam import Access, Binding, PolicyOf
from clouddeploy.validation import check_text_map

ACCESSOR: Final = "roles/secretmanager.secretAccessor"
LATEST: Final = "latest"
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_REFERENCE = re.compile(r"[A-Za-z0-9_-]{1,255}(:(latest|[1-9][0-9]*))?")


def references(given: Mapping[str, str]) -> Mapping[str, str]:
    """The option ``secrets``: environment variables by what fills them, each as ``secret:version``.

    Raises:
        SpecError: names the variable, or the reference, that can't be meant.
    """
    checked = check_text_map("Options", "secrets", given, _ENV_NAME)
    return MappingProxyType({key: _pinned(key, value) for key, value in checked.items()})


def _pinned(key: str, value: str) -> str:
    """``secret`` as ``secret:latest``."""
    if not _REFERENCE.fullmatch(value):
        raise SpecError(
            f"secrets[{key!r}] is {value!r}",
            why="allowed: the name of a secret of the same project, and if wanted a version: 'name:3'",
            fix="give it as 'name' or 'name:version', without a path",
        )
    return value if ":" in value else f"{value}:{LATEST}"


def accessor(gcp: Gcp, project: str, secret: str, account: str, needs: tuple[str, ...] = ()) -> Access:
    """The binding that lets `account`, a service account's address, read a secret of `project`."""
    policy = PolicyOf(gcp, "secretmanager", f"projects/{project}/secrets/{secret}")
    binding = Binding(ACCESSOR, f"serviceAccount:{account}")
    return Access(policy, (binding,), name=f"secret-{secret}", needs=needs)
