"""The token that a PSP gets."""

from dataclasses import replace

import pytest

from tests.support.builders import PSP

PAYPAL = replace(PSP, gateway="paypal", account="pp")


@pytest.mark.parametrize(
    ("payment_method", "token"),
    [("pm_1", "pm_1"), ("stripe:pm_1", "pm_1"), ("adyen:8416", "adyen:8416")],
)
def test_one_token_goes_to_its_psp_without_the_psps_name(payment_method: str, token: str):
    assert PSP.token(payment_method) == token


def test_of_several_tokens_each_psp_gets_its_own_as_it_is():
    # PayPal's own tokens open with `paypal:`.
    tokens = {"stripe": "pm_1", "paypal": "paypal:8kk8451t"}

    assert (PSP.token(None, tokens), PAYPAL.token(None, tokens)) == ("pm_1", "paypal:8kk8451t")


def test_a_psp_without_a_token_gets_none_of_another():
    with pytest.raises(KeyError):
        PAYPAL.token(None, {"stripe": "pm_1"})
