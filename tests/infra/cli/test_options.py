import pytest

from infra.cli.options import minor
from infra.errors import Mistyped


@pytest.mark.parametrize(
    ("text", "currency", "example"),
    [
        ("10.99", "JPY", "500"),
        ("500.5", "JPY", "500"),
        ("1e-3", "EUR", "10.99"),
        ("1e3", "EUR", "10.99"),
        ("1_000", "EUR", "10.99"),
        ("Infinity", "EUR", "10.99"),
        ("", "EUR", "10.99"),
        ("ten", "KWD", "10.990"),
        ("1.0001", "KWD", "10.990"),
    ],
)
def test_what_is_no_amount_is_answered_with_one_in_that_currency(text: str, currency: str, example: str):
    with pytest.raises(Mistyped) as wrong:
        minor(text, currency)

    assert wrong.value.remedy.endswith(f"write e.g. {example}")
    assert minor(example, currency) > 0


def test_an_amount_of_each_number_of_decimals_is_read():
    assert [minor(*one) for one in (("10.99", "EUR"), ("500", "JPY"), ("5.120", "KWD"))] == [1099, 500, 5120]
