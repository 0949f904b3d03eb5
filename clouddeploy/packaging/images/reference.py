"""Names of images: where they lie, and which one is meant."""

from __future__ import annotations

import re
from dataclasses import dataclass

from clouddeploy.errors import SpecError

PART = r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*"
REPOSITORY = re.compile(rf"{PART}(?:/{PART})*\Z")
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}\Z")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")
HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?\Z")
REPOSITORY_LIMIT = 255
DOCKER_HUB = "docker.io"
ECR = re.compile(
    r"(?P<account>\d{12})\.dkr[.-]ecr(?:-fips)?\.(?P<region>[a-z0-9-]+)"
    r"\.(?:amazonaws\.com|amazonaws\.com\.cn|amazonaws\.eu|on\.aws|on\.amazonwebservices\.com\.cn)\Z"
)
"""Private registries of Amazon ECR (AWS General Reference, "Amazon ECR endpoints and quotas")."""


@dataclass(frozen=True)
class Reference:
    """An image by name, such as ``public.ecr.aws/lambda/python:3.13``.

    The grammar is that of the OCI Distribution Specification ("Pulling manifests"); a name without
    a host is on Docker Hub, as Docker has it.

    Args:
        host: of the registry, with its port if it has one.
        repository: path within the registry.
        tag: empty when only the digest is given.
        digest: ``sha256:…``; wins over the tag.
    """

    host: str
    repository: str
    tag: str = ""
    digest: str = ""

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read a name as people write it.

        Raises:
            SpecError: it is none.
        """
        rest, at, digest = text.partition("@")
        if at and not DIGEST.match(digest):
            raise _wrong(text, f"the digest {digest!r} isn't 'sha256:' and 64 hex digits")
        head, slash, tail = rest.partition("/")
        if not slash or not (set(".:[") & set(head) or head == "localhost"):
            host, path = DOCKER_HUB, rest if slash else f"library/{rest}"
        else:
            host, path = head, tail
        path, colon, tag = path.partition(":")
        if colon and not TAG.match(tag):
            raise _wrong(text, f"the tag {tag!r} isn't up to 128 letters, digits, '_', '.' or '-'")
        if not HOST.match(host):
            raise _wrong(text, f"the host {host!r} is no host name")
        check_repository(path, text)
        return cls(host, path, tag or ("" if digest else "latest"), digest)

    @property
    def wanted(self) -> str:
        """What to ask the registry for: the digest, else the tag."""
        return self.digest or self.tag

    def pinned(self, digest: str) -> str:
        """The same repository's image `digest`, as a name that means the same for ever."""
        return f"{self.host}/{self.repository}@{digest}"

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.host}/{self.repository}{tag}" + (f"@{self.digest}" if self.digest else "")


def check_repository(repository: str, text: str = "") -> None:
    """Refuse a repository name that no registry takes.

    Raises:
        SpecError: it has upper-case letters, blanks or empty parts, or is too long.
    """
    if not REPOSITORY.match(repository) or len(repository) > REPOSITORY_LIMIT:
        raise _wrong(
            text or repository,
            f"the repository {repository!r} isn't lower-case letters and digits, joined by . _ - and /",
        )


def check_tag(tag: str) -> None:
    """Refuse a tag that no registry takes.

    Raises:
        SpecError: see `Reference`.
    """
    if not TAG.match(tag):
        raise _wrong(tag, "a tag is up to 128 letters, digits, '_', '.' or '-', and begins with none of '.-'")


def _wrong(text: str, why: str) -> SpecError:
    return SpecError(
        f"{text!r} is no name of an image",
        why=why,
        fix="write host/repository:tag or host/repository@sha256:…, as public.ecr.aws/lambda/python:3.13",
    )
