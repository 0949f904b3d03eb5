"""Preconditions ("Request preconditions", Cloud Storage documentation), really honoured."""

from __future__ import annotations

from collections.abc import Mapping

from clouddeploy.emulator.google.storage.answers import Refusal

# Query parameter of the JSON API, header of the XML API, the figure it speaks of, and whether it must differ.
CONDITIONS = (
    ("ifGenerationMatch", "x-goog-if-generation-match", "generation", False),
    ("ifGenerationNotMatch", "x-goog-if-generation-not-match", "generation", True),
    ("ifMetagenerationMatch", "x-goog-if-metageneration-match", "metageneration", False),
    ("ifMetagenerationNotMatch", "x-goog-if-metageneration-not-match", "metageneration", True),
)


class Conditions:
    """The preconditions of one request.

    Args:
        query: its parameters.
        headers: its headers, with lower-case names.
    """

    def __init__(self, query: Mapping[str, str], headers: Mapping[str, str]) -> None:
        self._wanted: list[tuple[str, bool, int]] = []
        for parameter, header, figure, differ in CONDITIONS:
            text = query.get(parameter, headers.get(header))
            if text is None:
                continue
            if not text.isdigit():
                raise Refusal(400, f"Invalid value for {parameter}: {text!r}", code="InvalidArgument")
            self._wanted.append((figure, differ, int(text)))
        self._match = headers.get("if-match")
        self._none_match = headers.get("if-none-match")

    def check(self, generation: int, metageneration: int, etag: str, *, reading: bool = False) -> None:
        """Compare with what is there; all zero and empty where nothing is.

        Raises:
            Refusal: 412, or 304 where a read asks for what has changed.
        """
        figures = {"generation": generation, "metageneration": metageneration}
        for figure, differ, number in self._wanted:
            if (figures[figure] == number) == differ:
                raise _unmet(304 if differ and reading else 412)
        if self._match and self._match != "*" and self._match.strip('"') != etag:
            raise _unmet(412)
        if self._none_match and etag and self._none_match.strip('"') in (etag, "*"):
            raise _unmet(304 if reading else 412)


def _unmet(status: int) -> Refusal:
    return Refusal(status, "At least one of the pre-conditions you specified did not hold.")
