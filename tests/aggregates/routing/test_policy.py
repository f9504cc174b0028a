import pytest
from pydantic import ValidationError

from aggregates.routing.policy import Policy


def _error(content: object) -> str:
    with pytest.raises(ValidationError) as raised:
        Policy.model_validate({"rules": [{"id": "r", **content}]} if "then" in content else content)
    (error,) = raised.value.errors()
    return str(error["msg"])


@pytest.mark.parametrize(
    ("written", "instead"),
    [(5, "0.05 where 5 % is meant"), ("5 %", "0.05 where 5 % is meant"), ("12,5%", "0.125 where 12.5 % is meant"),
     (100, "1 where 100 % is meant"), (1.5, "0.015 where 1.5 % is meant")],
)  # fmt: skip
def test_a_share_in_percent_is_refused_with_the_number_to_write(written, instead):
    said = _error({"then": {"split": {"a": written}}})

    assert said.endswith(f"a share is a number from 0 to 1: write {instead}")


@pytest.mark.parametrize("share", [-0.1, 101, "much", float("nan"), True])
def test_what_is_no_share_at_all_is_refused(share):
    assert "percent" not in _error({"then": {"split": {"a": share}}})


@pytest.mark.parametrize(
    "when", [{"customer": ["a\x00"]}, {"metadata": {"k": "\x00"}}, {"metadata": {"\x00": "v"}}]
)
def test_a_nul_is_refused_since_no_payment_carries_one_and_the_store_takes_none(when):
    assert _error({"when": when, "then": {"never": ["a"]}}) == r"String should match pattern '^[^\x00]*$'"


def test_a_time_with_an_offset_is_refused_since_its_zone_has_a_field():
    said = _error({"when": {"time": {"since": "06:00Z", "until": "08:00"}}, "then": {"prefer": ["a"]}})

    assert said.endswith("write its zone in zone, and 06:00 in place of 06:00Z")
