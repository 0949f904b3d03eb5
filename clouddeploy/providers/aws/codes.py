"""AWS's error codes and boto3's exceptions, sorted by what they mean (API references, "Common errors")."""

from __future__ import annotations

THROTTLED = frozenset(
    [
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "TooManyRequests",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "BandwidthLimitExceeded",
        "PriorRequestNotComplete",
    ]
)
PASSING = frozenset(
    [
        "InternalFailure",
        "InternalError",
        "InternalServerError",
        "InternalServerException",
        "InternalServiceException",
        "InternalServiceFault",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "ServiceFailure",
        "RequestTimeout",
        "RequestTimeoutException",
        "ConcurrentModification",
        "ConcurrentUpdateException",
        "ConditionalRequestConflict",
        "OperationAborted",
    ]
)
DENIED = frozenset(
    [
        "AccessDenied",
        "AccessDeniedException",
        "UnauthorizedOperation",
        "NotAuthorized",
        "AuthorizationError",
        "Forbidden",
        "403",
    ]
)
EXPIRED = frozenset(["ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"])
UNKNOWN_KEYS = frozenset(
    [
        "InvalidClientTokenId",
        "InvalidAccessKeyId",
        "UnrecognizedClientException",
        "InvalidToken",
        "InvalidTokenId",
        "SignatureDoesNotMatch",
        "MissingAuthenticationToken",
        "AuthFailure",
        "OptInRequired",
    ]
)
SKEWED = frozenset(["RequestTimeTooSkewed", "RequestInTheFuture"])
QUOTA = frozenset(
    [
        "ResourceLimitExceeded",
        "LimitExceeded",
        "LimitExceededException",
        "ServiceQuotaExceededException",
        "TooManyBuckets",
        "CodeStorageExceededException",
        "AliasLimitExceededException",
    ]
)
LOST_CONNECTION = frozenset(
    [
        "EndpointConnectionError",
        "ConnectTimeoutError",
        "ReadTimeoutError",
        "ConnectionClosedError",
        "ConnectionError",
        "HTTPClientError",
        "ProxyConnectionError",
        "IncompleteReadError",
        "ResponseStreamingError",
    ]
)
NO_KEYS = frozenset(
    [
        "NoCredentialsError",
        "PartialCredentialsError",
        "CredentialRetrievalError",
        "TokenRetrievalError",
        "SSOTokenLoadError",
        "UnauthorizedSSOTokenError",
        "SSOError",
        "ProfileNotFound",
        "MetadataRetrievalError",
        "InvalidConfigError",
        "LoginRefreshRequired",
        "LoginInsufficientPermissions",
        "LoginTokenLoadError",
    ]
)
