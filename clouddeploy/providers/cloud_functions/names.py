"""What each of a deployment's objects is called. Names follow from the wish and are never passed around."""

from __future__ import annotations

DIGITS = 10
"""Hex digits of a release."""
ARTIFACT_DIGITS = 32
ARCHIVE = "function.zip"
PREFIX = "_functions/"
"""No deployment's name starts so, and what lies under it is no other target's."""
MODELS = "models/"
"""Where weights lie that are too large for the source, below the deployment's prefix."""
ENTRY_POINT = "predict"
BUILDS = "gcf-artifacts"
"""The repository in which Cloud Functions keeps what it builds (Cloud Functions v2, BuildConfig)."""


def prefix(name: str) -> str:
    """Where everything of a deployment lies in the bucket, with the closing slash."""
    return f"{PREFIX}{name}/"


def source_prefix(name: str, digest: str) -> str:
    """Where one artifact lies, with the closing slash."""
    return f"{prefix(name)}{digest[:ARTIFACT_DIGITS]}/"


def source_object(name: str, digest: str) -> str:
    """The zip's name in the bucket."""
    return source_prefix(name, digest) + ARCHIVE


def weights_in(object_name: str, name: str) -> str:
    """Name below the prefix of an object that holds weights; empty for any other."""
    inner = object_name.removeprefix(prefix(name)) if object_name.startswith(prefix(name)) else ""
    return inner if inner.startswith(MODELS) else ""


def digest_in(object_name: str, name: str) -> str:
    """The artifact that an object of the deployment belongs to; empty for any other."""
    if not object_name.startswith(prefix(name)):
        return ""
    digest, slash, _ = object_name[len(prefix(name)) :].partition("/")
    return digest if slash and len(digest) == ARTIFACT_DIGITS else ""


def escaped(text: str) -> str:
    """A part of a build artifact's name, in which hyphens and underscores are doubled."""
    return text.replace("_", "__").replace("-", "--")


def builds_of(project: str, region: str, name: str) -> frozenset[str]:
    """The names under which Cloud Functions may keep what it built for a function.

    Newer packages name the project and the region too; firebase-tools, which cleans up after deploys as
    well, knows both forms.
    """
    short = escaped(name)
    return frozenset({short, "__".join([escaped(project), escaped(region), short])})
