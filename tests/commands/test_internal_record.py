"""The base of records between our own processes."""

import pytest

from commands.internal_record import InternalRecord
from commands.messages import InvalidMessage


class Pair(InternalRecord):
    first: int
    second: str | None = None


def test_what_is_absent_takes_no_room():
    assert Pair(first=1).dump() == b'{"first":1}'


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b'{"first":"one"}', b"\xff"])
def test_what_cannot_be_read_is_refused(raw):
    with pytest.raises(InvalidMessage, match="field_invalid"):
        Pair.read(raw)
