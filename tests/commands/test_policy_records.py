from datetime import UTC, datetime, time

import orjson
import pytest
from pydantic import ValidationError

from aggregates.routing.policy import Policy
from commands.policy_records import PolicyRecord, dump, key, read

_POLICY = Policy.model_validate(
    {
        "accounts": ["stripe-eu", "adyen-eu"],
        "strategy": {
            "kind": "experiment",
            "id": "adyen-or-not",
            "control": "a",
            "arms": {
                "a": {"share": 0.5, "account": "stripe-eu"},
                "b": {"share": 0.5, "strategy": {"kind": "metrics", "success": 0.7}},
            },
        },
        "rules": [
            {
                "id": "nights",
                "when": {"time": {"since": "22:00", "until": "06:00", "zone": "Europe/Berlin"}},
                "then": {"only": ["adyen-eu"]},
            }
        ],
        "residency": {"IN": ["razorpay-in"]},
        "commitments": [
            {"account": "adyen-eu", "since": "2026-12-01", "by": "2026-12-31", "payments": 10_000}
        ],
    }
)
_RECORD = PolicyRecord(
    merchant_id="shop",
    version=3,
    change=7,
    document=_POLICY,
    stopped_arms={"adyen-or-not": ["b"]},
    activated_at=datetime(2026, 11, 30, 18, tzinfo=UTC),
    who="ops",
)


def test_a_record_is_read_as_it_was_written():
    again = read(dump(_RECORD))

    assert again == _RECORD
    assert (again.version, again.change, again.who) == (3, 7, "ops")
    assert again.stopped_arms == {"adyen-or-not": ["b"]}
    assert again.activated_at == datetime(2026, 11, 30, 18, tzinfo=UTC)
    assert again.document.rules[0].when.time is not None
    assert again.document.rules[0].when.time.until == time(6)


def test_the_document_holds_what_was_written_and_no_defaults():
    sent = orjson.loads(dump(_RECORD))

    assert sent["document"]["rules"][0]["then"] == {"only": ["adyen-eu"]}
    assert "weights" not in sent["document"]["strategy"]
    assert sent["document"]["strategy"]["arms"]["b"]["strategy"] == {"kind": "metrics", "success": 0.7}


def test_a_field_of_a_later_release_is_passed_over_and_a_document_of_one_is_refused():
    sent = orjson.loads(dump(_RECORD))

    assert read(orjson.dumps(sent | {"region": "eu"})) == _RECORD
    with pytest.raises(ValidationError):
        read(orjson.dumps(sent | {"document": {"accounts": [], "moods": ["good"]}}))


def test_a_merchants_records_have_its_id_as_their_key():
    assert key("shop") == b"shop"


@pytest.mark.parametrize(
    "changes",
    [
        {"merchant_id": "x" * 900_000},
        {"who": "x" * 900_000},
        {"who": "Kim\0"},
        {"change": 10**18},
        {"version": 2**31},
        {"stopped_arms": {"x" * 65: ["b"]}},
        {"stopped_arms": {"adyen-or-not": ["b" * 900_000]}},
        {"activated_at": "9999-12-31T23:59:59Z"},
    ],
)
def test_a_record_out_of_bounds_is_refused(changes):
    sent = orjson.loads(dump(_RECORD))

    with pytest.raises(ValidationError):
        read(orjson.dumps(sent | changes))
