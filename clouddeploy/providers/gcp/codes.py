"""Google Cloud's error codes and the exceptions of its clients, sorted by what they mean.

Status names are those of ``google.rpc.Code``; reasons those of ``google.api.ErrorReason`` and, in camel
case, of the Cloud Storage JSON API ("HTTP status and error codes for JSON").
"""

from __future__ import annotations

from typing import Final

MISSING: Final = frozenset({"NOT_FOUND", "404"})
EXISTS: Final = frozenset({"ALREADY_EXISTS", "conflict"})
"""Not 409 as such, which is ABORTED as well."""
MOVED: Final = frozenset({"conditionNotMet", "412"})
"""A precondition on an object's generation didn't hold."""
STATUS_OF_HTTP: Final = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
PASSING_STATUS: Final = frozenset({408, 429, 500, 502, 503, 504})
PASSING: Final = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "INTERNAL", "backendError", "internalError"})
RATE_REASONS: Final = frozenset({"RATE_LIMIT_EXCEEDED", "rateLimitExceeded", "userRateLimitExceeded"})
QUOTA_REASONS: Final = frozenset({"RESOURCE_QUOTA_EXCEEDED", "quotaExceeded"})
DISABLED: Final = frozenset({"SERVICE_DISABLED", "accessNotConfigured"})
NO_BILLING: Final = frozenset({"BILLING_DISABLED", "accountDisabled"})
WRONG_PROJECT: Final = frozenset({"CONSUMER_INVALID", "CONSUMER_SUSPENDED", "USER_PROJECT_DENIED"})
LOST: Final = frozenset(
    {
        "ConnectionError",
        "Timeout",
        "TimeoutError",
        "ChunkedEncodingError",
        "ProtocolError",
        "IncompleteRead",
        "TransportError",
    }
)
"""Classes of errors of requests, urllib3, http.client and google.auth that mean a lost answer."""
NO_CREDENTIALS: Final = frozenset({"DefaultCredentialsError", "MalformedError"})
REFRESH: Final = frozenset({"RefreshError", "ReauthFailError", "UserAccessTokenError"})
ROLES: Final = {
    "functions": "roles/cloudfunctions.admin",
    "run": "roles/run.admin",
    "operations": "roles/cloudfunctions.viewer",
    "storage": "roles/storage.admin",
    "logging": "roles/logging.viewer",
    "monitoring": "roles/monitoring.viewer",
    "iam": "roles/iam.serviceAccountAdmin",
    "secretmanager": "roles/secretmanager.admin",
    "artifactregistry": "roles/artifactregistry.admin",
    "resourcemanager": "roles/resourcemanager.projectIamAdmin",
}
"""A predefined role that holds what a service's calls need (IAM documentation, "IAM roles")."""
HOSTS: Final = {
    "functions": "cloudfunctions.googleapis.com",
    "run": "run.googleapis.com",
    "operations": "cloudfunctions.googleapis.com",
    "storage": "storage.googleapis.com",
    "logging": "logging.googleapis.com",
    "monitoring": "monitoring.googleapis.com",
    "iam": "iam.googleapis.com",
    "secretmanager": "secretmanager.googleapis.com",
    "artifactregistry": "artifactregistry.googleapis.com",
    "resourcemanager": "cloudresourcemanager.googleapis.com",
}
"""The API that a project must have enabled, by our name for the service."""
