"""What a customer sees at a PSP's challenge: how much it is, as people write it, on a phone too."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.gateways.conformance.books import CASEBOOKS
from tests.gateways.conformance.cases import Without
from tests.gateways.conformance.shop import Shop, shop_at

_ASKING = [
    name
    for name, book in CASEBOOKS.items()
    if not isinstance(book.simulator, Without) and not isinstance(book.simulator.customer, Without)
]


async def _challenge(shop: Shop, minor: int, currency: str) -> str:
    """The address of its page."""
    call = shop.begin("sale", "challenged", amount_minor=minor, currency=currency)
    outcome = await shop.send(call)
    while outcome.action_url is None:
        assert outcome.next_step is not None, outcome
        call = replace(call, step=outcome.next_step, psp_id=outcome.psp_id)
        outcome = await shop.send(call)
    return outcome.action_url


@pytest.mark.parametrize(
    ("minor", "currency", "shown"), [(1099, "USD", "10.99 USD"), (500, "JPY", "500 JPY")]
)
@pytest.mark.parametrize("name", _ASKING)
async def test_a_challenge_shows_the_amount_as_people_write_it_and_fits_a_phone(
    name: str, minor: int, currency: str, shown: str, tmp_path: Path
):
    async with shop_at(CASEBOOKS[name], tmp_path) as shop:
        url = await _challenge(shop, minor, currency)
        async with shop.browser.get(url) as page:
            text = await page.text()

    assert f"<p class=amount>{shown}<" in text
    assert '<meta name=viewport content="width=device-width, initial-scale=1">' in text
    assert "prefers-color-scheme:dark" in text
