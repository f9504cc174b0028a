from datetime import UTC, datetime
from pathlib import Path

import pytest

from aggregates.fees import FeeFacts, FeeKind, Fees
from aggregates.money import Money
from infra.errors import Misconfigured
from infra.psp.accounts import Accounts

AT = datetime(2026, 11, 30, tzinfo=UTC)
ACCOUNT = """
[merchants.shop]
accounts = ["acct"]
[accounts.acct]
gateway = "stripe"
base_url = "https://api.stripe.com"
secret_file = "acct.key"
"""


def table(**lines: str) -> str:
    lines = {"id": '"cards"', "on": '["sale", "capture"]', **lines}
    return "[[accounts.acct.fees]]\n" + "\n".join(f"{key} = {value}" for key, value in lines.items()) + "\n"


def load(folder: Path, *tables: str) -> Accounts:
    file = folder / "accounts.toml"
    file.write_text(ACCOUNT + "\n".join(tables))
    return Accounts.load(file)


def fees(accounts: Accounts, kind: FeeKind, amount_minor: int, currency: str, **facts: object) -> Fees | None:
    return accounts.fees.fees("acct", kind, FeeFacts(amount_minor, currency, **facts), AT)


# Stripe Japan takes 3.6 %; Dinars have three decimals; the fraction of a cent is a scheme's.
@pytest.mark.parametrize(
    ("price", "paid", "total"),
    [
        ({"percent": '"1.5"', "fixed": '"0.25 EUR"'}, Money(10_000, "EUR"), Money(175, "EUR")),
        (
            {"percent": '"3.49"', "fixed": '["0.49 USD", "0.39 EUR"]'},
            Money(10_000, "EUR"),
            Money(388, "EUR"),
        ),
        ({"fixed": '"0.13 USD"'}, Money(10_000, "EUR"), Money(13, "USD")),
        ({"percent": '"2"', "tax_percent": '"18"'}, Money(70_000, "INR"), Money(1_652, "INR")),
        (
            {"percent": '"2.9"', "fixed": '"0.30 USD"', "rounding": '"down"'},
            Money(99, "USD"),
            Money(32, "USD"),
        ),
        ({"percent": '"0.8"', "max": '"5.00 USD"'}, Money(100_000, "USD"), Money(500, "USD")),
        ({"percent": '"1"', "min": '"0.20 GBP"'}, Money(1_000, "GBP"), Money(20, "GBP")),
        ({"percent": '"3.6"'}, Money(1_999, "JPY"), Money(72, "JPY")),
        ({"fixed": '"30 JPY"'}, Money(1_999, "JPY"), Money(30, "JPY")),
        ({"fixed": '"0.125 KWD"'}, Money(1_999, "KWD"), Money(125, "KWD")),
        ({"percent": '"0.14"', "fixed": '"0.0195 USD"'}, Money(400, "USD"), Money(3, "USD")),
        ({"free": "true"}, Money(400, "USD"), Money(0, "USD")),
    ],
)
def test_a_table_gives_the_fee_that_it_says(tmp_path: Path, price, paid, total):
    found = fees(load(tmp_path, table(**price)), "sale", paid.minor, paid.currency)

    assert found is not None
    assert (found.rule, found.total) == ("cards", total)


def test_every_condition_of_a_table_narrows_it(tmp_path: Path):
    narrow = table(
        methods='["card"]',
        currencies='["EUR"]',
        countries='["DE"]',
        schemes='["visa"]',
        fundings='["debit"]',
        since="2026-11-30",
        until="2026-12-01",
        percent='"1"',
    )
    accounts = load(tmp_path, narrow, table(id='"eea"', regions='["eea"]', percent='"2"'))
    german = {"country": "DE", "scheme": "visa", "funding": "debit"}

    def rule(**changed: object) -> str | None:
        found = fees(accounts, "sale", 100, **{"currency": "EUR", **german, **changed})
        return None if found is None else found.rule

    assert rule() == "cards"
    for changed in ({"method": "wallet"}, {"currency": "USD"}, {"country": "FR"}, {"scheme": "amex"}):
        assert rule(**changed) == "eea"
    assert rule(funding=None) == "eea"
    assert rule(country="US") is None
    later = datetime(2026, 12, 1, tzinfo=UTC)
    assert accounts.fees.fees("acct", "sale", FeeFacts(100, "EUR", **german), later).rule == "eea"


def test_tiers_count_from_their_volume(tmp_path: Path):
    tiers = '[{ percent = "1.5" }, { volume_from = "50000.00 EUR", percent = "1.2" }]'
    accounts = load(tmp_path, table(currencies='["EUR"]', tiers=tiers))
    (rule,) = accounts.fees.schedules["acct"].rules

    assert [(price.from_minor, price.rate_ppm) for price in rule.prices] == [(0, 15_000), (5_000_000, 12_000)]


def test_an_account_without_tables_has_unknown_fees(tmp_path: Path):
    assert fees(load(tmp_path), "sale", 100, "EUR") is None


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (
            {"percent": "1.5"},
            'fees.0.percent: must be a percentage in quotes, with at most 4 decimals: e.g. "1.5"',
        ),
        ({"percent": '"1.5 %"'}, "must be a percentage in quotes"),
        ({"percent": '"0.00001"'}, "at most 4 decimals"),
        ({"fixed": "25"}, 'fees.0.fixed: must be an amount and its currency in quotes: e.g. "0.25 EUR"'),
        ({"fixed": '"0.25"'}, "must be an amount and its currency"),
        ({"fixed": '"0.25 EUX"'}, "names a currency that AegisPay does not know"),
        ({"fixed": '"0.1234567 JPY"'}, "may have at most 6 decimals in JPY"),
        ({"fixed": '["0.25 EUR", "0.30 EUR"]'}, "has two amounts in one currency"),
        ({"percent": '"1"', "max": '"0.001 EUR"'}, "must be whole minor units"),
        ({"percent": '"1"', "min": '"2 EUR"', "max": '"1 EUR"'}, "min is above max in EUR"),
        ({}, "needs percent, fixed or both; or tiers; or free = true"),
        ({"percent": '"1"', "free": "true"}, "needs percent, fixed or both; or tiers; or free = true"),
        ({"free": "true", "on": "[]"}, "fees.0.on: must have at least 1 entry"),
        ({"free": "true", "on": '["sell"]'}, "fees.0.on.0: must be 'authorize', 'sale', 'capture'"),
        ({"free": "true", "regions": '["eu"]'}, "fees.0.regions.0: must be 'eea', 'gb', 'us'"),
        ({"free": "true", "regions": '["eea"]', "countries": '["DE"]'}, "has regions and countries"),
        ({"free": "true", "currencies": '["EUX"]'}, "currencies has EUX"),
        ({"free": "true", "since": "2026-12-01", "until": "2026-12-01"}, "until is not after since"),
        ({"free": "true", "since": "2026-12-01T00:00:00Z"}, "must be a day without quotes, e.g. 2026-04-10"),
        ({"free": "true", "until": '"soon"'}, "must be a day without quotes, e.g. 2026-04-10"),
        ({"free": "true", "percnt": '"1"'}, "did you mean percent?"),
        ({"tiers": '[{ percent = "1" }]'}, "must have at least 2 entries"),
        (
            {"tiers": '[{ percent = "1" }, { percent = "2" }]'},
            "each of tiers but the first needs volume_from",
        ),
        (
            {"tiers": '[{ volume_from = "1 EUR", percent = "1" }, { volume_from = "2 EUR" }]'},
            "the first of tiers counts from nothing",
        ),
        (
            {"tiers": '[{ percent = "1" }, { volume_from = "2 EUR" }]'},
            "tiers need currencies with one entry",
        ),
        (
            {
                "currencies": '["EUR"]',
                "tiers": '[{ percent = "1" }, { volume_from = "2 EUR" }, { volume_from = "2 EUR" }]',
            },
            "tiers do not rise in volume_from",
        ),
        ({"tiers": '[{ percent = "1" }, { volume_from = ["2 EUR", "2 USD"] }]'}, "has several currencies"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused_in_words(tmp_path: Path, lines, says):
    with pytest.raises(Misconfigured) as refused:
        load(tmp_path, table(**lines))

    assert says in str(refused.value)
    assert "accounts.acct.fees" in str(refused.value)


@pytest.mark.parametrize(
    ("second", "says"),
    [
        ({"id": '"cards"', "on": '["refund"]'}, "two fees have the id cards"),
        ({"id": '"more"', "schemes": '["visa"]'}, None),
        (
            {"id": '"more"'},
            "the fees cards and more both fit some operations, and neither has more conditions",
        ),
    ],
)
def test_two_tables_that_fit_one_operation_alike_are_refused(tmp_path: Path, second, says):
    tables = table(percent='"1"'), table(percent='"2"', **second)
    if says is None:
        load(tmp_path, *tables)
        return
    with pytest.raises(Misconfigured) as refused:
        load(tmp_path, *tables)

    assert says in str(refused.value)
