from datetime import UTC, datetime, timedelta

import orjson
import pytest

from commands.messages import InvalidMessage
from commands.volume_records import (
    SHARES_HOLD_FOR,
    CommitmentShare,
    MonthVolume,
    VolumeRecord,
    month_volumes,
)

NOW = datetime(2026, 11, 30, 18, tzinfo=UTC)
END = datetime(2027, 1, 1, tzinfo=UTC)


def commitment(account="adyen-eu", share=0.3, currency=None, until=END) -> CommitmentShare:
    return CommitmentShare(account=account, currency=currency, done=10, target=100, share=share, until=until)


def record(*commitments: CommitmentShare, merchant_id="shop", accounts=(), month="2026-11") -> VolumeRecord:
    return VolumeRecord(
        merchant_id=merchant_id, as_of=NOW, month=month, accounts=accounts, commitments=commitments
    )


def test_a_record_is_read_as_it_was_written_and_a_later_releases_field_is_passed_over():
    written = record(
        commitment(), accounts=(MonthVolume(account="a", currency="EUR", payments=2, amount_minor=9),)
    )

    assert VolumeRecord.read(written.dump()) == written
    assert VolumeRecord.read(orjson.dumps(orjson.loads(written.dump()) | {"mood": "good"})) == written
    with pytest.raises(InvalidMessage):
        VolumeRecord.read(b'{"merchant_id": "shop"}')


def test_a_share_of_a_currency_moves_payments_in_it_only():
    eur = record(commitment(currency="EUR"), commitment("stripe-eu", 0.2))

    assert eur.shares("EUR", NOW) == {"adyen-eu": 0.3, "stripe-eu": 0.2}
    assert eur.shares("USD", NOW) == {"stripe-eu": 0.2}


def test_of_two_commitments_to_one_account_the_greater_share_holds():
    assert record(commitment(share=0.3), commitment(share=0.6)).shares("EUR", NOW) == {"adyen-eu": 0.6}


def test_accounts_that_need_more_than_there_is_share_it():
    shares = record(commitment("a", 0.9), commitment("b", 0.6)).shares("EUR", NOW)

    assert shares == pytest.approx({"a": 0.6, "b": 0.4})


def test_an_old_record_and_a_commitment_that_is_over_bend_nothing():
    late = NOW + SHARES_HOLD_FOR

    assert record(commitment()).shares("EUR", late) == {"adyen-eu": 0.3}
    assert record(commitment()).shares("EUR", late + timedelta(seconds=1)) == {}
    assert record(commitment()).shares("EUR", NOW - timedelta(seconds=60)) == {"adyen-eu": 0.3}
    assert record(commitment()).shares("EUR", NOW - timedelta(seconds=61)) == {}
    assert record(commitment(until=NOW)).shares("EUR", NOW) == {}
    assert record(commitment(share=0.0)).shares("EUR", NOW) == {}


def test_the_volume_of_a_month_is_summed_over_merchants_and_a_past_month_counts_nothing():
    def charged(minor: int):
        return (MonthVolume(account="stripe-eu", currency="EUR", payments=1, amount_minor=minor),)

    records = [record(accounts=charged(100)), record(merchant_id="other", accounts=charged(50))]

    assert month_volumes(records, NOW) == {("stripe-eu", "EUR"): 150}
    assert month_volumes([*records, record(accounts=charged(7), month="2026-10")], NOW) == {
        ("stripe-eu", "EUR"): 150
    }
    assert month_volumes(records, datetime(2026, 12, 1, tzinfo=UTC)) == {}


@pytest.mark.parametrize(
    "changes",
    [
        {"merchant_id": "x" * 900_000},
        {"as_of": "9999-12-31T23:59:59Z"},
        {"accounts": [{"account": "a\0", "currency": "EUR", "payments": 1, "amount_minor": 1}]},
        {"accounts": [{"account": "a", "currency": "EURO", "payments": 1, "amount_minor": 1}]},
        {"accounts": [{"account": "a", "currency": "EUR", "payments": 2**53 + 1, "amount_minor": 1}]},
        {"accounts": [{"account": "a", "currency": "EUR", "payments": 1, "amount_minor": 10**18}]},
        {
            "commitments": [
                {"account": "a", "done": 10**18, "target": 1, "share": 1, "until": "2027-01-01T00:00:00Z"}
            ]
        },
        {
            "commitments": [
                {"account": "a", "done": 1, "target": 10**18, "share": 1, "until": "2027-01-01T00:00:00Z"}
            ]
        },
        {
            "commitments": [
                {"account": "a", "done": 1, "target": 1, "share": 1, "until": "9999-01-01T00:00:00Z"}
            ]
        },
    ],
)
def test_a_record_out_of_bounds_is_refused(changes):
    with pytest.raises(InvalidMessage):
        VolumeRecord.read(orjson.dumps(orjson.loads(record(commitment()).dump()) | changes))
