"""Which project, region and API a Google Cloud target talks to: options that every one of them takes."""

from __future__ import annotations

from typing import Any, TypedDict


class GcpOptions(TypedDict, total=False):
    """Where calls go, and as whom. What is left out or None is found as Google's own tools find it.

    Keys:
        project: project id, such as ``"my-project-1234"``.
        region: such as ``"europe-west1"``.
        credentials: path of a service account's key file, an object of google.auth's, or
            ``"anonymous"`` for a cloud that asks for none.
        endpoint_url: where the APIs answer instead of Google, such as the embedded cloud.
    """

    project: str | None
    region: str | None
    credentials: Any
    endpoint_url: str | None


def refuse_unknown(options: GcpOptions) -> None:
    """Fail as Python does for a keyword argument that there isn't.

    Raises:
        TypeError: names it.
    """
    unknown = sorted(options.keys() - GcpOptions.__annotations__.keys())
    if unknown:
        raise TypeError(f"unexpected options: {', '.join(unknown)}")
