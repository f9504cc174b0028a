"""How values in any PSP's JSON are read."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from gateways.wire.json import json_object, moment, moment_of_unix

HIGH, LOW = "\\ud83d", "\\ude00"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (HIGH, "�"),
        (LOW, "�"),
        (f"a{HIGH}", "a�"),
        (f"{HIGH}{HIGH}{LOW}", "�\U0001f600"),
        (f"{LOW}{HIGH}", "��"),
        (f"{HIGH}\\n{LOW}", "�\n�"),
        ("\\uD83D", "�"),
        (f"{HIGH}{LOW}", "\U0001f600"),
        # A backslash that was written, and then letters.
        (f"\\\\ud83d {HIGH}", "\\ud83d �"),
        (f"\\\\\\\\{HIGH}", "\\\\�"),
        (f'\\"{HIGH}\\"', '"�"'),
    ],
)
def test_half_a_surrogate_pair_is_replaced_and_everything_else_is_read_as_it_is(written: str, read: str):
    body = f'{{"nobody reads": "{written}", "id": "evt_1", "amount": 1099}}'.encode()

    assert json_object(body) == {"nobody reads": read, "id": "evt_1", "amount": 1099}
    # A foreign reader sees the same text, but for the halves.
    foreign = json.loads(body)["nobody reads"]
    assert "".join("�" if "\ud800" <= c <= "\udfff" else c for c in foreign) == read


def test_a_half_in_a_name_is_replaced_too():
    assert json_object(b'{"\\ud83d": 1}') == {"�": 1}


def test_a_half_that_is_written_as_bytes_is_replaced_and_other_bytes_that_are_no_utf8_are_not():
    assert json_object(b'{"a": "\xed\xa0\xbd", "b": 1}') == {"a": "�", "b": 1}
    assert json_object(b'{"a": "caf\xe9", "b": 1}') == {}


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"<html>", b'{"a": "\\ud83d"', b"null", b'"\\ud83d"', b'{"a": \\ud83d}']
)
def test_what_is_no_object_stays_none(body: bytes):
    assert json_object(body) == {}


@pytest.mark.parametrize(
    ("written", "at"),
    [
        ("2026-11-30T12:00:00Z", datetime(2026, 11, 30, 12, tzinfo=UTC)),
        ("2026-11-30T12:00:00+01:00", datetime(2026, 11, 30, 12, tzinfo=timezone(timedelta(hours=1)))),
        ("2026-11-30", datetime(2026, 11, 30, tzinfo=UTC)),
        ("tomorrow", None),
        (1764500000, None),
        (None, None),
    ],
)
def test_a_time_without_an_offset_is_in_utc_and_what_names_none_is_none(written: object, at: datetime | None):
    assert moment(written) == at


@pytest.mark.parametrize("seconds", [0, -1, True, 1.5, "1", 4_102_444_800, 10**20, None])
def test_what_is_no_number_of_seconds_before_2100_names_no_time(seconds: object):
    assert moment_of_unix(seconds) is None
    assert moment_of_unix(4_102_444_799) == datetime(2099, 12, 31, 23, 59, 59, tzinfo=UTC)
