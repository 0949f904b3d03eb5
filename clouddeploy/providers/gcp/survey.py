"""What the Cloud Storage bucket holds of one deployment."""

from __future__ import annotations

from dataclasses import dataclass

from clouddeploy.engine.survey import BaseSurvey
from clouddeploy.providers.gcp.client import Gcp
from clouddeploy.providers.gcp.faults import MISSING
from clouddeploy.providers.gcp.ownership import find_own


@dataclass(frozen=True, slots=True)
class Found:
    """One object: its generation, its size in bytes and its CRC32C in base64."""

    generation: str
    size: int
    crc32c: str = ""


class Survey(BaseSurvey[Found]):
    """The listing of one prefix, made when it is first asked for and then kept.

    Args:
        gcp: the seam.
        bucket: the bucket's name.
        name: the deployment's name.
        prefix: where its objects lie, with the closing slash; empty means ``_functions/<name>/``.
        own: the bucket is clouddeploy's own, so it must be in this project; False for one that the
            user named.
    """

    def __init__(self, gcp: Gcp, bucket: str, name: str, *, prefix: str = "", own: bool = True) -> None:
        super().__init__(bucket, name, prefix or f"_functions/{name}/")
        self.gcp = gcp
        self.own = own

    def list_objects(self) -> dict[str, Found] | None:
        """All pages of ListObjects, of a bucket that is whose it should be."""
        there = not self.own or find_own(self.gcp, self.bucket)
        return listing(self.gcp, self.bucket, self.prefix) if there else None


def listing(gcp: Gcp, bucket: str, prefix: str) -> dict[str, Found] | None:
    """The objects under `prefix`, by name; None when there is no such bucket."""
    found: dict[str, Found] = {}
    more: dict[str, str] = {}
    while True:
        page = gcp.find("storage", "ListObjects", MISSING, bucket=bucket, prefix=prefix, **more)
        if page is None:
            return None
        for entry in page.get("items", ()):
            found[entry["name"]] = Found(
                str(entry["generation"]), int(entry["size"]), entry.get("crc32c", "")
            )
        if not page.get("nextPageToken"):
            return found
        more = {"pageToken": page["nextPageToken"]}
