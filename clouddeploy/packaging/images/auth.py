"""Logging in to a registry: Basic, and the Bearer tokens of Docker's token service.

Source: "Token Authentication Specification" of the Distribution project; RFC 9110, section 11.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Sequence
from urllib.parse import urlencode

from clouddeploy.errors import CredentialsError
from clouddeploy.packaging.images.http import Client, check_scheme, shown
from clouddeploy.packaging.images.media import document

Credentials = Callable[[str], tuple[str, str] | None]
"""User and password for a registry's host; None to go there as nobody. Asked anew at each login."""

CHALLENGE = re.compile(r"(?:^|,)\s*(?P<scheme>[A-Za-z][\w-]*)(?=\s+[\w-]+\s*=|\s*(?:,|$))")
PARAMETER = re.compile(r'(?P<key>[\w-]+)\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>[^\s,"]+))')
TOKEN = re.compile(r"[\x21-\x7e]+\Z")
EVERYWHERE = ""


def challenges(headers: Sequence[str]) -> dict[str, dict[str, str]]:
    """What ``WWW-Authenticate`` headers ask for: parameters by scheme, both in lower case."""
    found: dict[str, dict[str, str]] = {}
    for header in headers:
        masked = re.sub(r'"(?:[^"\\]|\\.)*"', lambda m: '"' + "x" * (len(m[0]) - 2) + '"', header)
        starts = list(CHALLENGE.finditer(masked))
        ends = [*(m.start() for m in starts[1:]), len(header)]
        for match, end in zip(starts, ends, strict=False):  # without a scheme there is an end too many
            parameters = PARAMETER.finditer(header[match.end() : end])
            found[match["scheme"].lower()] = {
                p["key"].lower(): re.sub(r"\\(.)", r"\1", p["quoted"]) if p["bare"] is None else p["bare"]
                for p in parameters
            }
    return found


class Authorizer:
    """Holds what a registry accepted, by what it was asked for.

    Args:
        host: the registry's, as `credentials` knows it.
        credentials: see `Credentials`.
        client: for asking token services.
    """

    def __init__(self, host: str, credentials: Credentials | None, client: Client) -> None:
        self._host = host
        self._credentials = credentials
        self._client = client
        self._headers: dict[str, str] = {}

    def headers(self, scope: str) -> dict[str, str]:
        """The header for a request that needs `scope`; none before a registry asked for it."""
        value = self._headers.get(scope) or self._headers.get(EVERYWHERE)
        return {"Authorization": value} if value else {}

    def log_in(self, url: str, scope: str, asked: Sequence[str]) -> None:
        """Answer the challenge that a request to `url` got.

        Raises:
            CredentialsError: there are no credentials, they aren't accepted, or the way is unknown.
        """
        offered = challenges(asked)
        pair = self._credentials(self._host) if self._credentials else None
        basic = "Basic " + b64encode(":".join(pair).encode()).decode() if pair else ""
        if "realm" in offered.get("bearer", {}):
            self._headers[scope] = "Bearer " + self._token(url, scope, offered["bearer"], basic)
        elif "basic" in offered and basic:
            self._headers[EVERYWHERE] = basic
        elif "basic" in offered:
            raise refused(self._host, "it wants a user and a password, and none were given")
        else:
            raise refused(self._host, f"it asks for {', '.join(offered) or 'nothing that we know'}")

    def _token(self, url: str, scope: str, asked: dict[str, str], basic: str) -> str:
        realm = asked["realm"]
        check_scheme(realm, url)
        scopes = dict.fromkeys([*asked.get("scope", "").split(), *scope.split()])
        query = [("service", asked["service"])] if "service" in asked else []
        query += [("scope", one) for one in scopes]
        address = f"{realm}{'&' if '?' in realm else '?'}{urlencode(query)}"
        answer = self._client.ask("GET", address, {"Authorization": basic} if basic else {})
        if answer.status != 200:
            raise refused(self._host, f"its token service {shown(realm)} answered {answer.status}")
        body = document(answer.body, f"the answer of the token service {shown(realm)}")
        token = body.get("token") or body.get("access_token")
        if not isinstance(token, str) or not TOKEN.match(token):
            raise refused(self._host, f"its token service {shown(realm)} answered without a token")
        return token


def refused(host: str, why: str) -> CredentialsError:
    """The error for a registry that lets us do nothing, or not this."""
    return CredentialsError(
        f"the registry {host} refuses access",
        why=why,
        fix="give credentials that may do this; for Amazon ECR: credentials=ecr_credentials(aws), with the "
        "permissions ecr:GetAuthorizationToken, BatchCheckLayerAvailability, GetDownloadUrlForLayer, "
        "BatchGetImage, InitiateLayerUpload, UploadLayerPart, CompleteLayerUpload and PutImage",
    )
