"""A registry over the OCI Distribution HTTP API: what is there, reading it, and adding to it."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from hashlib import sha256
from typing import Any, BinaryIO
from urllib.parse import urlencode, urljoin

from clouddeploy.errors import CloudDeployError, CloudError, NotFound, SpecError
from clouddeploy.packaging.images.auth import Authorizer, Credentials
from clouddeploy.packaging.images.blob import Blob, digest_of_bytes
from clouddeploy.packaging.images.download import download
from clouddeploy.packaging.images.http import (
    Answer,
    Body,
    Client,
    Retries,
    Wire,
    check_scheme,
    is_loopback,
    origin,
)
from clouddeploy.packaging.images.media import ACCEPT, Descriptor, damaged
from clouddeploy.packaging.images.reference import DOCKER_HUB, ECR, HOST
from clouddeploy.packaging.images.refusal import check_digest, no_repository, refusal, refusal_error
from clouddeploy.packaging.images.upload import Uploads

TIMEOUT_S = 60.0
CHUNK_BYTES = 64 << 20
WHOLE_ONLY = re.compile(r"(?:.*\.)?(?:dkr[.-]ecr[.-].*|pkg\.dev|gcr\.io|public\.ecr\.aws)\Z")
"""Registries that don't take a blob in several parts. Amazon ECR drops every part after the first
(aws/containers-roadmap issue 2831); Google's refuse them (jozu-ai/kitops pull request 777)."""


class Registry:
    """One registry. Constructing it makes no call.

    Args:
        host: name, with its port if it has one; ``docker.io`` is Docker Hub.
        credentials: user and password by host; none to be nobody.
        plain_http: without TLS; by default on loopback only.
        retries: how patient to be.
        chunk_bytes: larger blobs are sent in parts of so many bytes, so that a break costs one part;
            None never; by default as the registry allows.
        timeout_s: seconds without a byte after which a connection counts as broken; storing a blob may
            take the registry longer.
        wire: sends the requests; the standard library's client by default.

    Raises:
        SpecError: `host` is no host name.
    """

    def __init__(
        self,
        host: str,
        *,
        credentials: Credentials | None = None,
        plain_http: bool | None = None,
        retries: Retries | None = None,
        chunk_bytes: int | None = -1,
        timeout_s: float = TIMEOUT_S,
        wire: Wire | None = None,
    ) -> None:
        if not HOST.match(host):
            raise SpecError(f"{host!r} is no registry's host", fix="write host or host:port, without a path")
        self.host = host
        name = host.rpartition(":")[0] if re.search(r":\d+\Z", host) else host
        plain = is_loopback(name.strip("[]")) if plain_http is None else plain_http
        self._base = f"{'http' if plain else 'https'}://{_api(host)}"
        self.client = Client(retries or Retries(), timeout_s, wire)
        self._login = Authorizer(host, credentials, self.client)
        if chunk_bytes == -1:
            chunk_bytes = None if WHOLE_ONLY.match(name) else CHUNK_BYTES
        self._uploads = Uploads(self, chunk_bytes)

    @property
    def chunk_bytes(self) -> int | None:
        """Above how many bytes a blob is sent in parts; None when never."""
        return self._uploads.chunk_bytes

    def manifest(self, repository: str, wanted: str) -> tuple[bytes, str]:
        """A manifest's or index's bytes, and their media type.

        Args:
            wanted: tag or digest.

        Raises:
            NotFound: it isn't there.
            CloudError: its bytes aren't those of the digest.
        """
        address = f"/v2/{repository}/manifests/{wanted}"
        ok = (200, 404)
        answer = self.ask("GET", address, f"repository:{repository}:pull", headers={"Accept": ACCEPT}, ok=ok)
        if answer.status == 404:
            raise NotFound(
                f"{self.host}/{repository} holds no image {wanted!r}",
                why=refusal(answer)[1] or "the registry answered 404",
                fix="check host, repository and tag; a private one may also need credentials",
            )
        found = digest_of_bytes(answer.body)
        if wanted.startswith("sha256:") and found != wanted:
            raise damaged(f"the manifest {wanted} of {self.host}/{repository}", f"what came is {found}")
        return answer.body, answer.headers.get_content_type()

    def manifest_digest(self, repository: str, wanted: str) -> str | None:
        """The digest of what a tag or digest names; None when nothing."""
        address = f"/v2/{repository}/manifests/{wanted}"
        scope = f"repository:{repository}:pull"
        answer = self.ask("HEAD", address, scope, headers={"Accept": ACCEPT}, ok=(200, 404))
        return answer.headers.get("Docker-Content-Digest") if answer.status == 200 else None

    def put_manifest(self, repository: str, wanted: str, content: bytes, media_type: str) -> str:
        """Store a manifest under a tag or its digest; returns its digest.

        Raises:
            CloudError: the registry refused it, or understood other bytes.
        """
        address = f"/v2/{repository}/manifests/{wanted}"
        headers = {"Content-Type": media_type, "Content-Length": str(len(content))}
        scope = pushing(repository)
        answer = self.ask("PUT", address, scope, headers=headers, body=lambda: [content], ok=(200, 201, 202))
        digest = digest_of_bytes(content)
        check_digest(answer, digest, f"the manifest for {self.host}/{repository}:{wanted}")
        return digest

    def has_blob(self, repository: str, digest: str) -> bool:
        """Whether the repository holds a blob; a missing repository holds none."""
        scope = f"repository:{repository}:pull"
        return self.ask("HEAD", f"/v2/{repository}/blobs/{digest}", scope, ok=(200, 404)).status == 200

    def fetch(
        self,
        repository: str,
        wanted: Descriptor,
        file: BinaryIO,
        told: Callable[[int], None] | None = None,
    ) -> None:
        """Write a blob to `file`, in bounded memory, going on where a connection breaks.

        Raises:
            CloudError: it isn't there, or its bytes aren't those of the digest.
        """
        digest = sha256()

        def sink(piece: bytes) -> None:
            digest.update(piece)
            file.write(piece)

        download(self, repository, wanted, sink, told)
        found = f"sha256:{digest.hexdigest()}"
        if found != wanted.digest:
            raise damaged(f"the blob {wanted.digest} of {self.host}/{repository}", f"what came is {found}")

    def mount(self, repository: str, digest: str, source: str) -> str | None:
        """Have a blob of the repository `source` here without sending it.

        Returns:
            None when it is here now; else the address of an upload that takes its bytes.

        Raises:
            CloudError: the registry refused, or has no such repository.
        """
        query = urlencode({"mount": digest, "from": source})
        scopes = f"{pushing(repository)} repository:{source}:pull"
        address = f"/v2/{repository}/blobs/uploads/?{query}"
        try:
            answer = self.ask("POST", address, scopes, headers={"Content-Length": "0"}, ok=(201, 202))
        except CloudDeployError:  # whoever may not mount may still send
            return self.begin(repository)
        return None if answer.status == 201 else self.location(answer)

    def begin(self, repository: str) -> str:
        """The address of a new upload.

        Raises:
            CloudError: the registry refused, or has no such repository.
        """
        address, scope = f"/v2/{repository}/blobs/uploads/", pushing(repository)
        answer = self.ask("POST", address, scope, headers={"Content-Length": "0"}, ok=(202, 404))
        if answer.status == 404:
            raise no_repository(self.host, repository, refusal(answer)[1], ECR.match(self.host))
        return self.location(answer)

    def put_blob(self, repository: str, blob: Blob, *, told: Callable[[int], None] | None = None) -> bool:
        """Make sure that the repository holds `blob`; whether its bytes had to be sent.

        Raises:
            CloudError: the registry refused, has no such repository, or received other bytes.
        """
        if self.has_blob(repository, blob.digest):
            return False
        self.send(repository, blob, told=told)
        return True

    def send(
        self,
        repository: str,
        blob: Blob,
        where: str | None = None,
        *,
        told: Callable[[int], None] | None = None,
    ) -> None:
        """Send `blob` to the upload `where`, or a new one; errors as `put_blob`."""
        self._uploads.send(repository, blob, where or self.begin(repository), told)

    def ask(
        self,
        method: str,
        address: str,
        scope: str,
        *,
        ok: Collection[int],
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        attempts: int | None = None,
    ) -> Answer:
        """An answer whose status is one of `ok`; logs in when asked to.

        Raises:
            CredentialsError: logging in didn't help.
            CloudError: another status, or no answer.
        """
        url = urljoin(self._base, address)
        ours = origin(url) == origin(self._base)
        for last in (False, True):
            held = self._login.headers(scope) if ours else {}
            answer = self.client.ask(method, url, {**(headers or {}), **held}, body=body, attempts=attempts)
            if answer.status != 401 or last or not ours or origin(answer.url) != origin(url):
                break
            self._login.log_in(url, scope, answer.headers.get_all("WWW-Authenticate") or [])
        if answer.status in ok:
            return answer
        raise refusal_error(self.host, method, answer)

    def stream(self, address: str, scope: str, headers: Mapping[str, str]) -> Any:
        """The open response to a GET with the login held for `scope`; errors as `Client.open`."""
        return self.client.open("GET", self._base + address, {**headers, **self._login.headers(scope)})

    def location(self, answer: Answer) -> str:
        """Where an upload goes on.

        Raises:
            CloudError: the registry didn't say, or points away from HTTPS.
        """
        where = answer.headers.get("Location")
        if not where:
            raise CloudError(
                f"the registry {self.host} began an upload and didn't say where it goes on",
                why=f"its answer {answer.status} has no Location",
                fix="check that the address is a registry's",
                code="protocol",
            )
        following = urljoin(answer.url, where)
        check_scheme(following, self._base)
        return following


def pushing(repository: str) -> str:
    """What adding to a repository needs, as token services name it."""
    return f"repository:{repository}:pull,push"


def _api(host: str) -> str:
    return "registry-1.docker.io" if host == DOCKER_HUB else host
