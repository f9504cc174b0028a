"""What the adapters are, all together."""

from typing import Any

import pytest

from gateways.contract import ChecksAddress, Confirms, NamesIssuer, SignsIn, SignsWithCertificate
from gateways.registry import ADAPTERS, stray_name


@pytest.mark.parametrize(
    ("ability", "psps"),
    [
        (ChecksAddress, {"braintree"}),
        (SignsWithCertificate, {"paypal"}),
        (NamesIssuer, {"paypal"}),
        (Confirms, {"paypal"}),
        (SignsIn, {"paypal"}),
    ],
)
def test_an_adapter_has_the_abilities_of_its_psp_and_no_more(ability: Any, psps: set[str]):
    assert {name for name, adapter in ADAPTERS.items() if isinstance(adapter, ability)} == psps


@pytest.mark.parametrize(
    ("tokens", "remedy"),
    [
        ({"strip": "pm_1"}, "did you mean stripe? The names are stripe, adyen, "),
        ({"stripe": "pm_1", "Adyen": "8416"}, "did you mean adyen?"),
        ({"shop": "pm_1"}, "one of its names is no PSP's: The names are stripe"),
        ({"stripe": "stripe:pm_1"}, "write the token of stripe without stripe: before it"),
        ({"braintree": "paypal:vault-1"}, "write the token of braintree without paypal: before it"),
    ],
)
def test_a_token_under_no_psps_name_or_behind_one_gets_its_correction(tokens: dict[str, str], remedy: str):
    found = stray_name(tokens)

    assert found is not None
    assert remedy in found


# PayPal's own writing (gateways/paypal/requests.py): what its vault id is of, a colon, the id; or no id,
# where the payer agrees on PayPal's page.
@pytest.mark.parametrize("token", ["paypal", "paypal:8kk8451t", "card:8kk8451t"])
def test_a_psps_own_prefix_is_part_of_its_token(token: str):
    assert stray_name({"stripe": "pm_1", "paypal": token}) is None
