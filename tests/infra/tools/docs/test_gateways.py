import re

import pytest

from aggregates.money import CURRENCIES, WITHDRAWN
from gateways.registry import ADAPTERS
from infra.tools.docs import gateways


@pytest.mark.parametrize("name", ADAPTERS)
def test_a_psp_lists_no_currency_that_no_payment_can_be_in(name: str):
    facts = ADAPTERS[name].facts
    _, _, after = gateways.text().partition(f"\n- {facts.title}: ")
    line = " ".join(re.split(r"\n(?! )", after)[0].split())
    listed = set(re.findall(r"\b[A-Z]{3}\b", line))

    assert listed == facts.currencies - WITHDRAWN.keys()
    assert set(CURRENCIES) >= facts.currencies
    assert all(f"{code} with `options.{option}`" in line for code, option in facts.switched.items())
    assert set(facts.switched.values()) <= facts.options.keys()


@pytest.mark.parametrize("name", ADAPTERS)
def test_every_psp_has_its_column_its_currencies_and_what_its_account_needs(name: str):
    facts = ADAPTERS[name].facts

    text = gateways.text()

    assert facts.name == name
    assert facts.required <= facts.options.keys()
    assert f'### {facts.title} (`gateway = "{name}"`)' in text
    for column in (facts.documents, facts.challenge, facts.lookup, facts.webhook):
        assert column in text
