"""Whether a certificate's time has come, and isn't over."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

SOON = timedelta(days=14)
"""Before the end of a certificate in which it is time for another one."""


def period(path: Path) -> tuple[datetime, datetime]:
    """From when to when the first certificate in a PEM file is valid.

    Raises:
        OSError: it can't be read.
        ValueError: there is none in it.
        ModuleNotFoundError: the library that reads certificates isn't installed.
    """
    from cryptography.x509 import load_pem_x509_certificate

    found = load_pem_x509_certificate(path.read_bytes())
    return found.not_valid_before_utc, found.not_valid_after_utc


def complaint(path: Path, now: datetime) -> str:
    """What clients will have against a certificate's time; empty for nothing.

    Args:
        path: of the certificate.
        now: with a time zone.
    """
    try:
        first, last = period(path)
    except ModuleNotFoundError:
        return f"when the certificate {str(path)!r} expires isn't looked at: pip install 'clouddeploy[auth]'"
    except (OSError, ValueError) as error:
        return f"from when to when the certificate {str(path)!r} is valid can't be told: {error}"
    if last <= now:
        return f"the certificate {str(path)!r} expired at {last:%Y-%m-%d %H:%M UTC}: clients refuse it"
    if now < first:
        return (
            f"the certificate {str(path)!r} isn't valid before {first:%Y-%m-%d %H:%M UTC}: clients refuse it"
        )
    if last - now < SOON:
        return f"the certificate {str(path)!r} expires at {last:%Y-%m-%d %H:%M UTC}"
    return ""
