"""The issuer's code and its advice on retries, where a PSP shows them."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.gateways.conformance.book import CaseBook
from tests.gateways.conformance.books import CASEBOOKS
from tests.gateways.conformance.cases import Without
from tests.gateways.conformance.shop import Shop, shop_at


@pytest.fixture
async def shop(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Shop]:
    async with shop_at(request.param, tmp_path) as opened:
        yield opened


_SHOWN = {name: book for name, book in CASEBOOKS.items() if not isinstance(book.issuer, Without)}
each = pytest.mark.parametrize("book", _SHOWN.values(), ids=_SHOWN)


@each
def test_a_decline_names_what_the_issuer_said(book: CaseBook):
    assert not isinstance(book.issuer, Without)
    for code, advice in book.issuer_codes.items():
        call, response = book.issuer(code, advice)

        outcome = book.gateway.outcome(call, response)

        assert outcome.kind in {"DECLINED_SOFT", "DECLINED_HARD"}
        assert (outcome.issuer_code, outcome.issuer_advice) == (code, advice)


@each
@pytest.mark.parametrize(
    "shown",
    [
        "4242424242424242",
        "do_not_honor",
        "051234",
        "0 5",
        "",
        "\u0660\u0665",
        5,
        5.0,
        True,
        None,
        ["05"],
        {"05": 1},
    ],
)
def test_what_is_no_code_is_left_out_and_changes_nothing_else(book: CaseBook, shown: Any):
    assert not isinstance(book.issuer, Without)
    call, response = book.issuer(shown, shown)

    outcome = book.gateway.outcome(call, response)

    assert outcome.kind in {"DECLINED_SOFT", "DECLINED_HARD"}
    assert (outcome.issuer_code, outcome.issuer_advice) == (None, None)


# Scenarios of each simulator, and the code that its PSP's page has beside them: the adapter has to find it
# where the simulator puts it.
@pytest.mark.parametrize(
    ("shop", "token", "code"),
    [
        pytest.param(CASEBOOKS[name], token, code, id=f"{name}-{code}")
        for name, token, code in (
            ("stripe", "pm_card_visa_chargeDeclined", "05"),
            ("stripe", "pm_card_visa_chargeDeclinedInsufficientFunds", "51"),
            ("stripe", "pm_card_visa_chargeDeclinedExpiredCard", "54"),
            ("stripe", "pm_sim_never_again", "14"),
            ("adyen", "sim_DECLINED", "05"),
            ("adyen", "sim_NOT_ENOUGH_BALANCE", "51"),
            ("adyen", "sim_INVALID_CARD_NUMBER", "14"),
            ("adyen", "sim_FRAUD", None),
            ("braintree", "fake-processor-declined-visa-nonce", "05"),
            ("paypal", "card:CCREJECT-IF", "5120"),
            ("paypal", "card:CCREJECT-SF", "9500"),
        )
    ],
    indirect=["shop"],
)
async def test_the_simulator_shows_the_issuers_code_where_its_psp_does(
    shop: Shop, token: str, code: str | None
):
    call = replace(shop.begin("authorize", "approved"), payment_method=token)

    _, outcome = await shop.end(call, await shop.send(call))

    assert outcome.kind in {"DECLINED_SOFT", "DECLINED_HARD"}, outcome
    assert outcome.issuer_code == code
