"""What the adapters are, all together."""

from typing import Any

import pytest

from gateways.contract import ChecksAddress, Confirms, NamesIssuer, SignsIn, SignsWithCertificate
from gateways.registry import ADAPTERS


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
