"""Texts and ids of PayPal's that are kept, and what must not be."""

from tests.gateways.paypal.payloads import (
    AUTHORIZE,
    ORDER,
    SALE,
    WALLET,
    http_response,
    issue,
    link,
    order,
    sold,
    taken,
)
from tests.gateways.paypal.reading import PAYPAL, WALLET_2, short


def test_an_unlisted_status_is_reported_as_new():
    assert PAYPAL.outcome(SALE, http_response(201, sold(status="EXPLODED"))).unlisted
    assert PAYPAL.outcome(SALE, http_response(201, order("EXPLODED"))).unlisted


def test_an_order_of_another_id_or_reference_is_unknown():
    another = order("COMPLETED", SALE, captures=[taken()]) | {"id": "8MC585209K746392H"}

    assert short(PAYPAL.outcome(SALE, http_response(201, another))) == ("UNKNOWN", "psp_id_mismatch")
    assert short(PAYPAL.outcome(AUTHORIZE, http_response(201, sold()))) == ("UNKNOWN", "reference_mismatch")


def test_the_words_of_paypal_are_kept_without_what_must_not_be():
    payload = issue("INSTRUMENT_DECLINED")
    payload["details"][0]["description"] = "card 4111 1111 1111 1111, Bearer A21AAF"

    outcome = PAYPAL.outcome(SALE, http_response(422, payload))

    assert outcome.detail == "INSTRUMENT_DECLINED, card [digits], [secret], HTTP 422, 90957fca61718"


def test_an_id_that_is_mostly_digits_is_an_id_and_a_card_number_is_none():
    many = sold(id="1JU08902781691411")
    assert PAYPAL.outcome(SALE, http_response(201, many)).psp_id == f"{ORDER}/captures/1JU08902781691411"
    assert PAYPAL.outcome(SALE, http_response(201, sold(id="4111111111111111"))).kind == "UNKNOWN"


def test_a_page_may_name_its_order_but_no_card():
    digits = "0AW2184448108334S"
    payload = order("PAYER_ACTION_REQUIRED") | {"id": digits}
    payload["links"] = [link("payer-action", f"https://www.paypal.com/checkoutnow?token={digits}")]
    outcome = PAYPAL.outcome(WALLET, http_response(200, payload))
    assert outcome.action_url == f"https://www.paypal.com/checkoutnow?token={digits}"

    payload["links"] = [link("payer-action", "https://www.paypal.com/?card=4111111111111111")]
    assert PAYPAL.outcome(WALLET, http_response(200, payload)).action_url is None


def test_an_order_that_the_taking_step_left_as_it_was_is_unknown():
    """Its link for a payer is there from the beginning."""
    assert short(PAYPAL.outcome(SALE, http_response(200, order("CREATED")))) == ("UNKNOWN", "not_done")
    assert short(PAYPAL.outcome(SALE, http_response(200, order("APPROVED")))) == ("UNKNOWN", "not_done")
    assert PAYPAL.outcome(WALLET_2, http_response(200, order("CREATED"))).kind == "ACTION_REQUIRED"
