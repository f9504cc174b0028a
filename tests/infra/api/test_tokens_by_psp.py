"""A create that has one token for each PSP, and what it says of the card."""

import pytest

from tests.infra.api.test_creates import BODY, PAN
from tests.support.event_stories import captured, put_into_store

pytestmark = pytest.mark.stack

TOKENS = {"stripe": "pm_card_visa", "adyen": "8416034123456789"}
SEVERAL = {name: value for name, value in BODY.items() if name != "payment_method"} | {
    "payment_methods": TOKENS
}


async def test_the_command_has_the_token_of_each_psp(api, worker):
    response = await api.post(SEVERAL)

    command = await worker.command()
    assert response.status == 202
    assert (command.payment_method, command.payment_methods) == (None, TOKENS)


@pytest.mark.parametrize(
    ("change", "code", "path"),
    [
        ({"payment_method": "pm_card_visa"}, "field_invalid", "payment_method"),
        ({"payment_methods": None}, "field_missing", "payment_method"),
        ({"payment_methods": {}}, "field_invalid", "payment_methods"),
        ({"payment_methods": {"stripe": ""}}, "field_invalid", "payment_methods.stripe"),
        ({"payment_methods": {"stripe": PAN}}, "sensitive_data", "payment_methods.stripe"),
        ({"payment_methods": {PAN: "pm_1"}}, "sensitive_data", "payment_methods.(unprintable)"),
        ({"payment_methods": {"strip": "pm_1"}}, "gateway_unknown", "payment_methods"),
        ({"payment_methods": {"stripe": "stripe:pm_1"}}, "gateway_unknown", "payment_methods"),
        ({"method": "Wallet"}, "field_invalid", "method"),
        ({"card": {"bin": "4242424"}}, "field_invalid", "card.bin"),
        ({"card": {"bin": PAN}}, "sensitive_data", "card.bin"),
        ({"card": {"scheme": "visa 1"}}, "field_invalid", "card.scheme"),
        ({"card": {"number": "x"}}, "field_unknown", "card.number"),
        ({"card": {"cvc": "123"}}, "sensitive_data", "card.cvc"),
    ],
)
async def test_bad_tokens_and_card_facts_are_refused_with_their_place(api, change, code, path):
    response = await api.post(SEVERAL | change)

    assert (response.status, response.body["code"], response.body["path"]) == (422, code, path)
    assert PAN.encode() not in response.raw


async def test_the_history_shows_the_end_of_each_token_only(environment, api):
    story = captured(payment_method=None, payment_methods=TOKENS)
    put_into_store(environment, story)

    response = await api.get(f"/v1/payments/{story[0].originator_id}/events")

    first = response.body["events"][0]["data"]
    assert first["payment_methods"] == {"stripe": "…visa", "adyen": "…6789"}
    assert not any(token.encode() in response.raw for token in TOKENS.values())
