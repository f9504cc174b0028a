import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commands.messages import Outcome
from gateways.contract import Credentials, HttpResponse, StoredCredential
from gateways.wire import redaction
from gateways.wire.redaction import without_secrets, without_tokens
from tests.gateways.conformance.calls import calls

CALL = calls(
    "tok_of_a_card",
    lambda reference: reference,
    stored_credential=StoredCredential("reuse", "customer", "cus_of_one"),
)["sale"]
CREDENTIALS = Credentials("https://psp.example", "the_secret", access_token="the_access_token")


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("card 4242424242424242 refused", "card [digits] refused"),
        ("4242 4242 4242 4242", "[digits]"),
        ("4242-4242/4242.4242", "[digits]"),
        ("card 4242*4242|4242:4242 refused", "[digits]"),
        ("card \u0664\u0662\u0664\u0662 4242 4242 4242 refused", "[digits]"),
        ("cvv 917 is wrong", "[digits]"),
        ("order 123456789012", "order 123456789012"),
        ("key sk_live_abcDEF.1 is wrong", "key [secret] is wrong"),
        ("Authorization: Bearer abc.def", "Authorization: [secret]"),
        ("pi_3Mtw_secret_YrKJ is used", "[secret] is used"),
        ("tab\tnew\nline\x00end", "tab new line end"),
    ],
)
def test_a_text_is_masked(text: str, left: str):
    assert redaction.text(text) == left


@given(st.lists(st.sampled_from(["4242", "17", "0", " ", "-", "a", "refused "]), max_size=900).map("".join))
def test_no_text_keeps_a_run_of_thirteen_digits(text: str):
    kept = redaction.text(text) or ""

    assert not re.search(r"[0-9](?:[ -]{0,2}[0-9]){12}", kept)
    assert len(kept) <= 400


@pytest.mark.parametrize("value", [None, 7, ["a"], "", "   ", "\x00"])
def test_what_is_no_text_is_nothing(value: object):
    assert redaction.text(value) is None


@pytest.mark.parametrize("value", ["a b", "a\n", "", "x" * 256, "pi_4242424242424242", None, {}, "ä"])
def test_an_id_is_kept_whole_or_not_at_all(value: object):
    assert redaction.identifier(value) is None


@pytest.mark.parametrize(
    "value", ["javascript:alert(1)", "//x", "https://x/ y", "https://x/4242424242424242", None]
)
def test_an_address_that_is_no_web_page_is_dropped(value: object):
    assert redaction.address(value) is None


def test_the_whole_of_a_psps_message_is_masked_however_long_it_is():
    payload = "x" * 10_000 + ' "number": "4242 4242 4242 4242", "client_secret": "pi_1_secret_abc" '

    assert redaction.masked(payload) == "x" * 10_000 + ' "number": "[digits]", "client_secret": "[secret]" '


@pytest.mark.parametrize("token", ["tok_of_a_card", "cus_of_one"])
def test_a_token_that_the_psp_quotes_is_not_reported(token: str):
    outcome = Outcome(kind="NOT_SENT", code="no_such_token", detail=f"no such token: {token}, HTTP 400")

    assert without_tokens(outcome, CALL).detail == "no such token: [token], HTTP 400"


def test_no_part_of_a_token_is_left_where_a_text_was_cut():
    outcome = Outcome(kind="NOT_SENT", detail="no such token: tok_of_a")

    assert without_tokens(outcome, CALL).detail == "no such token: "


def test_an_outcome_that_quotes_nothing_stays_as_it_is():
    outcome = Outcome(kind="APPROVED", psp_id="ch_1", detail="HTTP 200")

    assert without_tokens(outcome, CALL) is outcome


def test_secrets_are_taken_out_of_a_response_before_it_is_read():
    response = HttpResponse(400, {}, b'{"error": "bad key the_secret or the_access_token"}')

    assert without_secrets(response, CREDENTIALS).body == b'{"error": "bad key [secret] or [secret]"}'


def test_a_response_without_them_stays_as_it_is():
    response = HttpResponse(200, {}, b"{}")

    assert without_secrets(response, CREDENTIALS) is response
