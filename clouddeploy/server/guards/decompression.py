"""Bodies that come compressed: read within limits when the settings allow it, else refused by name."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from clouddeploy.runtime.errors import WireError
from clouddeploy.server.message import Refused, Response

if TYPE_CHECKING:
    from clouddeploy.server.app import App
    from clouddeploy.server.exchange import Exchange

WINDOWS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
"""Of zlib: with a gzip frame, and with its own, which HTTP calls deflate (RFC 9110, section 8.4.1)."""
FREE = 64 << 10
"""Bytes up to which a body may be any number of times larger than what was sent."""
CODING = "content-encoding"


def install(app: App) -> None:
    """Inflate bodies, when the settings say so; else `Heads` refuses them."""
    settings = app.settings
    if settings.inflate:
        app.before.append(Inflater(settings.body_limit, settings.inflate_ratio).guard)


class Inflater:
    """Puts bodies back into their length.

    Args:
        limit: bytes of one at the most.
        ratio: how many times larger than what was sent it may be.
    """

    def __init__(self, limit: int, ratio: float) -> None:
        self._limit, self._ratio = limit, ratio

    def guard(self, exchange: Exchange) -> Response | None:
        """Replace a compressed body by what it holds.

        Raises:
            WireError: it can't be, or holds too much.
        """
        request = exchange.request
        coding = request.head.headers.get(CODING)
        if coding is None or coding.lower() in ("", "identity"):
            return None
        window = WINDOWS.get(coding.lower())
        if window is None:
            raise Refused(
                "unsupported_media_type",
                f"the content coding {coding[:40]!r} isn't known",
                "use gzip or deflate",
                (("accept-encoding", "gzip, deflate"),),
            )
        request.body = self.inflated(request.body, window)
        return None

    def inflated(self, data: bytes, window: int) -> bytes:
        """What `data` holds; never more is made than is allowed.

        Raises:
            WireError: ``too_large``, or ``bad_request`` for what isn't compressed or not to the end.
        """
        most = min(self._limit, max(FREE, int(len(data) * self._ratio)))
        inflater = zlib.decompressobj(window)
        try:
            found = inflater.decompress(data, most + 1)
        except zlib.error as error:
            raise WireError(
                "bad_request", f"the body isn't compressed as it says: {error}", "send another"
            ) from error
        if len(found) > most:
            raise WireError(
                "too_large", f"the body holds more than {most} bytes", "send it in parts, or as it is"
            )
        if not inflater.eof or inflater.unused_data:
            raise WireError("bad_request", "the compressed body is cut or followed by more", "send it whole")
        return found
