"""From when to when a certificate is valid, read from its bytes (X.690, DER; RFC 5280, section 4.1)."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

SOON = timedelta(days=14)
"""Before the end of a certificate in which it is time for another one."""
BEGIN, END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
VERSION, UTC_TIME = 0xA0, 0x17


def period(path: Path) -> tuple[datetime, datetime]:
    """From when to when the first certificate in a PEM file is valid.

    Raises:
        OSError: it can't be read.
        ValueError: there is none in it.
    """
    text = path.read_text("ascii", "replace")
    start, end = text.index(BEGIN), text.index(END)
    certificate = ssl.PEM_cert_to_DER_cert(text[start : end + len(END)])
    fields = _parts(_parts(_parts(certificate)[0][1])[0][1])  # of the certificate's first part
    if fields[0][0] == VERSION:
        fields = fields[1:]
    _, _, _, validity = fields[:4]  # serial number, signature, issuer
    first, last = (_time(*part) for part in _parts(validity[1]))
    return first, last


def _parts(data: bytes) -> list[tuple[int, bytes]]:
    """Tag and content of each value in `data`."""
    found, at = [], 0
    while at < len(data):
        tag, size, at = data[at], data[at + 1], at + 2
        if size & 0x80:
            count = size & 0x7F
            size, at = int.from_bytes(data[at : at + count], "big"), at + count
        found.append((tag, data[at : at + size]))
        at += size
    return found


def _time(tag: int, content: bytes) -> datetime:
    text = content.decode("ascii")
    if tag == UTC_TIME:  # RFC 5280, section 4.1.2.5.1
        text = ("19" if text[:2] >= "50" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def complaint(path: Path, now: datetime) -> str:
    """What clients will have against a certificate's time; empty for nothing.

    Args:
        path: of the certificate.
        now: with a time zone.
    """
    try:
        first, last = period(path)
    except (OSError, ValueError, IndexError) as error:
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
