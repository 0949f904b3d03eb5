"""What each of a deployment's objects is called. Names follow from the wish and are never passed around."""

from __future__ import annotations

import re

DIGITS = 10
"""Hex digits of a release."""
ARTIFACT_DIGITS = 32
PREFIX = "_run/"
"""Of the lock's object in the bucket: no deployment's name starts so, and no other target lies under it."""
REPOSITORY = "clouddeploy"
TARGET_LABEL, TARGET = "clouddeploy-target", "cloud-run"
"""What our services carry, unlike those under functions, to which functions' labels are handed on."""
REPOSITORY_LABEL = ("clouddeploy-repository", "images")
"""What our repository carries."""
SERVICE = re.compile(r"[a-z](?:[a-z0-9-]{0,47}[a-z0-9])?")
"""Cloud Run v2, ``services.create``, serviceId: a letter first, fewer than 50 characters."""


def prefix(name: str) -> str:
    """Where the deployment's objects lie in the bucket, with the closing slash."""
    return f"{PREFIX}{name}/"


def revision(name: str, release: str) -> str:
    """The revision that is `release`."""
    return f"{name}-{release}"


def tag(digest: str) -> str:
    """What an image is tagged with."""
    return digest[:ARTIFACT_DIGITS]
