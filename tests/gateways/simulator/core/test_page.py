"""The page at `/`."""

import re
from dataclasses import replace
from html import escape

import pytest

from gateways.simulator import registry
from gateways.simulator.core.accounts import Accounts
from gateways.simulator.core.page import html
from gateways.simulator.registry import PSPS
from tests.gateways.simulator.client import ACCOUNTS, KEY, Client
from tests.gateways.simulator.core import toy

URL = "http://127.0.0.1:8200"


async def test_the_page_is_served_and_names_every_psp_and_its_base_url(simulator: Client):
    async with simulator.http.get(f"{simulator.root}/") as response:
        text = await response.text()

    assert (response.status, response.content_type) == (200, "text/html")
    for psp in PSPS:
        assert psp.title in text
        assert f"{simulator.root}/{psp.name}" in text


def test_it_has_every_test_value_with_its_effect():
    text = html(PSPS, registry.accounts(None), URL, {})

    for psp in PSPS:
        for group in psp.groups:
            assert all(entry.effect for entry in group.entries)
            for entry in group.entries:
                assert escape(entry.value) in text


def test_how_often_a_fault_hits_is_english():
    text = html(PSPS, registry.accounts(None), URL, {})

    assert ", once" in text
    assert not re.search("once at the [^<]*once|, 1 times|, 2 times", text)


def test_secrets_that_anybody_knows_are_shown_and_others_are_not():
    configured = registry.accounts(ACCOUNTS)

    shown = html(PSPS, registry.accounts(None), URL, {})
    hidden = html(PSPS, configured, URL, {})

    for psp in PSPS:
        assert psp.default.secret in shown
        assert psp.default.secret not in hidden
    for account in configured.all:
        assert account.name in hidden
        assert account.secret not in hidden
        assert not account.webhook_secret or account.webhook_secret not in hidden
    assert KEY not in hidden


def test_what_a_declaration_says_is_no_html():
    evil = replace(toy.PSP, credentials="<script>", differs=("<b>",))

    text = html([evil], Accounts([toy.PSP.default], well_known=True), URL, {})

    assert "<script>" not in text
    assert "&lt;any&gt;" in text
    assert "&lt;b&gt;" in text


@pytest.mark.parametrize("psp", PSPS, ids=lambda psp: psp.name)
def test_a_declaration_is_whole(psp):
    assert psp.default.gateway == psp.name
    assert set(psp.default.options) <= set(psp.options)
    assert psp.version
    assert psp.credentials
    assert psp.webhooks
    assert psp.groups
