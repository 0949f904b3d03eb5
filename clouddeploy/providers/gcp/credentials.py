"""Who calls: Google's credentials, the project they belong to, and identity tokens for services.

Nothing of google.auth is loaded before credentials are needed.
"""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

from clouddeploy.errors import CredentialsError, SpecError

ANONYMOUS = "anonymous"
EMBEDDED_TOKEN = "embedded-cloud"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
PROJECT_VARIABLES = ("GOOGLE_CLOUD_PROJECT", "CLOUDSDK_CORE_PROJECT")
REGION_VARIABLES = (
    "GOOGLE_CLOUD_REGION",
    "CLOUDSDK_RUN_REGION",
    "CLOUDSDK_FUNCTIONS_REGION",
    "CLOUDSDK_COMPUTE_REGION",
)
TOKEN_URL = "https://oauth2.googleapis.com/token"
TOKEN_LIFE_S = 3000.0
"""Identity tokens hold an hour (Cloud Run documentation, "Authenticating service-to-service")."""


class Credentials:
    """The credentials of one seam, looked for when they are first needed; safe to share between threads.

    Args:
        given: as the option ``credentials``: a key file's path, an object, ``"anonymous"`` or None.
        project: as given by the user, or None.
    """

    def __init__(self, given: Any, project: str | None) -> None:
        self._given = given
        self._project = project
        self._making = threading.Lock()
        self._found: tuple[Any, str | None] | None = None
        self._tokens: dict[str, tuple[str, float]] = {}

    @property
    def anonymous(self) -> bool:
        """Whether calls carry no credentials."""
        return isinstance(self._given, str) and self._given == ANONYMOUS

    def get(self) -> Any:
        """google.auth's object.

        Raises:
            google.auth.exceptions.DefaultCredentialsError: there are none.
        """
        return self._find()[0]

    def project(self) -> str:
        """The project: given, from the environment, or that of the credentials.

        Raises:
            CredentialsError: none is given and none can be found.
        """
        named = self._project or next((os.environ[v] for v in PROJECT_VARIABLES if os.environ.get(v)), "")
        found = named or self._find()[1]
        if not found:
            raise CredentialsError(
                "no Google Cloud project is given",
                why="neither the option project, GOOGLE_CLOUD_PROJECT nor the credentials name one",
                fix="give project='...', or set GOOGLE_CLOUD_PROJECT",
            )
        return found

    def identity_token(self, audience: str) -> str:
        """A token that tells a private service who calls; kept for most of its hour.

        Args:
            audience: the service's URL.

        Raises:
            CredentialsError: these credentials can't make one.
        """
        if self.anonymous:
            return EMBEDDED_TOKEN
        token, ends = self._tokens.get(audience, ("", 0.0))
        if time.monotonic() >= ends:
            token = _identity_token(self.get(), audience)
            self._tokens[audience] = (token, time.monotonic() + TOKEN_LIFE_S)
        return token

    def access_token(self) -> str:
        """An OAuth access token, fresh enough to be used at once."""
        if self.anonymous:
            return EMBEDDED_TOKEN
        from google.auth.transport.requests import Request

        credentials = self.get()
        if not credentials.valid:
            credentials.refresh(Request())
        return str(credentials.token)

    def _find(self) -> tuple[Any, str | None]:
        with self._making:
            if self._found is None:
                self._found = self._load()
            return self._found

    def _load(self) -> tuple[Any, str | None]:
        import google.auth
        from google.auth import credentials

        if self.anonymous:
            nobody: Any = credentials.AnonymousCredentials
            return nobody(), None
        if isinstance(self._given, str | os.PathLike):
            return _from_file(Path(self._given))
        if self._given is not None:
            return self._given, getattr(self._given, "project_id", None)
        default: tuple[Any, str | None] = google.auth.default(scopes=[SCOPE])
        return default


def _from_file(path: Path) -> tuple[Any, str | None]:
    """Credentials of the two kinds that a file holds without naming a program or an address to ask."""
    from google.oauth2 import credentials, service_account

    try:
        found = json.loads(path.read_text())
        kind = found["type"]
        make: Any
        if kind == "service_account":
            make = service_account.Credentials.from_service_account_info
        elif kind == "authorized_user":
            make = credentials.Credentials.from_authorized_user_info
        else:
            raise ValueError(f"credentials of type {kind!r} must be named by GOOGLE_APPLICATION_CREDENTIALS")
        return make(found, scopes=[SCOPE]), found.get("project_id") or found.get("quota_project_id")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CredentialsError(
            f"the credentials in {str(path)!r} can't be used: {error}",
            why="the option credentials must be the path of a service account's key file, an object of "
            "google.auth's, or 'anonymous'",
            fix="give another file, or leave it out: then GOOGLE_APPLICATION_CREDENTIALS counts",
        ) from error


def find_region(given: str | None) -> str:
    """The region: given, or from the environment variables that gcloud reads too.

    Raises:
        SpecError: there is none; regions have no default.
    """
    found = given or next((os.environ[v] for v in REGION_VARIABLES if os.environ.get(v)), "")
    if not found:
        raise SpecError(
            "no Google Cloud region is given",
            why=f"neither the option region nor one of {', '.join(REGION_VARIABLES)} names one",
            fix="give region='...', such as 'europe-west1'",
        )
    return found


def _identity_token(credentials: Any, audience: str) -> str:
    from google.auth.transport.requests import Request

    made = _for_audience(credentials, audience)
    made.refresh(Request())
    token = getattr(made, "id_token", None) or made.token
    if made is credentials and not getattr(made, "id_token", None):
        raise CredentialsError(
            f"these credentials ({type(credentials).__name__}) can't make an identity token for {audience}",
            why="they come from service accounts, from the metadata server, or from a user's sign-in",
            fix="use a service account with the role roles/run.invoker, or run 'gcloud auth "
            "application-default login --impersonate-service-account=...'",
        )
    return str(token)


def _for_audience(credentials: Any, audience: str) -> Any:
    """Credentials that make identity tokens, from those that make access tokens."""
    from google.auth import compute_engine, impersonated_credentials
    from google.auth.transport.requests import Request
    from google.oauth2 import service_account

    makers: Any = service_account.IDTokenCredentials, impersonated_credentials.IDTokenCredentials
    of_account, impersonated = makers
    of_machine: Any = compute_engine.IDTokenCredentials
    if isinstance(credentials, service_account.Credentials):
        return of_account(
            signer=credentials.signer,
            service_account_email=credentials.service_account_email,
            token_uri=TOKEN_URL,
            target_audience=audience,
        )
    if isinstance(credentials, impersonated_credentials.Credentials):
        return impersonated(credentials, target_audience=audience, include_email=True)
    if isinstance(credentials, compute_engine.Credentials):
        return of_machine(Request(), audience, use_metadata_identity_endpoint=True)
    return credentials
