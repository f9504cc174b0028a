import pytest

from aggregates import money
from gateways.paypal import amounts
from gateways.wire.money import NotExpressible


@pytest.mark.parametrize(
    ("minor", "currency", "value"),
    [
        (1099, "USD", "10.99"),
        (1000, "EUR", "10.00"),
        (5, "GBP", "0.05"),
        (99_999_999, "USD", "999999.99"),
        (500, "JPY", "500"),
        (1000, "HUF", "10"),
        (80000, "TWD", "800"),
    ],
)
def test_an_amount_is_a_decimal_string_that_comes_back_as_it_was(minor: int, currency: str, value: str):
    wire = amounts.to_wire(minor, currency)

    assert wire == {"currency_code": currency, "value": value}
    assert amounts.from_wire(wire) == (minor, currency)


@pytest.mark.parametrize(
    ("minor", "currency", "code"),
    [
        (1045, "HUF", "amount_not_expressible"),
        (80001, "TWD", "amount_not_expressible"),
        (0, "USD", "amount_not_expressible"),
        (-5, "USD", "amount_not_expressible"),
        *(
            (5120, currency, "currency_not_supported")
            for currency in ("KWD", "TND", "ISK", "CLP", "UGX", "IDR", "XXX")
        ),
    ],
)
def test_what_cannot_be_written_is_refused_and_never_rounded(minor: int, currency: str, code: str):
    with pytest.raises(NotExpressible) as refused:
        amounts.to_wire(minor, currency)

    assert refused.value.code == code


def test_every_currency_is_one_of_ours_and_of_the_two_kinds():
    assert set(money.CURRENCIES) >= amounts.CURRENCIES
    assert not {currency for currency in amounts.CURRENCIES if money.exponent(currency) == 3}


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ({"currency_code": "USD", "value": "10"}, (1000, "USD")),
        ({"currency_code": "USD", "value": "10.9"}, (1090, "USD")),
        ({"currency_code": "JPY", "value": "500.00"}, (500, "JPY")),
        ({"currency_code": "JPY", "value": "500.50"}, None),
        ({"currency_code": "USD", "value": "10.999"}, None),
        ({"currency_code": "USD", "value": "-1.00"}, None),
        ({"currency_code": "USD", "value": "1e3"}, None),
        ({"currency_code": "USD", "value": "\u0661\u0660"}, None),
        ({"currency_code": "USD", "value": 10.99}, None),
        ({"currency_code": "usd", "value": "10.99"}, None),
        ({"currency_code": "KWD", "value": "5.120"}, None),
        ({"value": "10.99"}, None),
        ("10.99", None),
        (None, None),
    ],
)
def test_an_amount_in_a_response_is_read_exactly_or_not_at_all(value: object, read: tuple[int, str] | None):
    assert amounts.from_wire(value) == read
