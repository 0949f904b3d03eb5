"""Names follow from the wish, and stay within what AWS takes."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from clouddeploy.providers.aws.role import role_name
from clouddeploy.providers.sagemaker.names import is_versioned, release_of, versioned

NAME = r"[a-z0-9](?:-?[a-z0-9])*"

NAMES = st.from_regex(NAME, fullmatch=True).filter(lambda n: len(n) <= 63)


@given(NAMES, st.dictionaries(st.text(), st.integers(), max_size=3))
def test_a_versioned_name_is_one_that_sagemaker_takes_and_tells_its_release(
    name: str, content: dict[str, int]
) -> None:
    physical = versioned(name, content)
    assert re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", physical)
    assert is_versioned(name, physical)
    assert physical.endswith(release_of(name, physical))
    assert len(release_of(name, physical)) == 10


@given(NAMES, NAMES)
def test_two_names_never_share_a_versioned_name(one: str, other: str) -> None:
    assert (versioned(one, {}) == versioned(other, {})) == (one == other)


@given(NAMES, NAMES)
def test_role_names_are_short_enough_and_never_shared(one: str, other: str) -> None:
    roles = role_name("ap-southeast-1", one), role_name("ap-southeast-1", other)
    assert all(len(r) <= 64 for r in roles)
    assert (roles[0] == roles[1]) == (one == other)


def test_a_name_with_hex_digits_behind_it_is_not_taken_for_a_release_of_a_shorter_one() -> None:
    assert not is_versioned("digits", versioned("digits-0123456789", {}))
    assert release_of("digits", "digits") == ""
    assert release_of("digits", "theirs-0123456789") == ""
