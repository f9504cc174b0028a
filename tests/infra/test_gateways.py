import pytest

from infra import gateways
from infra.adapters import ADAPTERS


def test_the_table_in_the_docs_is_what_the_adapters_declare():
    assert gateways.FILE.read_text() == gateways.text()


@pytest.mark.parametrize("name", ADAPTERS)
def test_every_psp_has_its_column_its_currencies_and_what_its_account_needs(name: str):
    facts = ADAPTERS[name].facts

    text = gateways.text()

    assert facts.name == name
    assert facts.required <= facts.options.keys()
    assert f'### {facts.title} (`gateway = "{name}"`)' in text
    for column in (facts.documents, facts.challenge, facts.lookup, facts.webhook):
        assert column in text
