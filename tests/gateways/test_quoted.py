import pytest

from commands.messages import Outcome
from gateways.contract import Credentials, HttpAnswer, StoredCredential
from gateways.quoted import without_secrets, without_tokens
from tests.gateways.conformance.asked import calls

CALL = calls(
    "tok_of_a_card",
    lambda reference: reference,
    stored_credential=StoredCredential("reuse", "customer", "cus_of_one"),
)["sale"]
CREDENTIALS = Credentials("https://psp.example", "the_secret", access_token="the_access_token")


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


def test_secrets_are_taken_out_of_an_answer_before_it_is_read():
    answer = HttpAnswer(400, {}, b'{"error": "bad key the_secret or the_access_token"}')

    assert without_secrets(answer, CREDENTIALS).body == b'{"error": "bad key [secret] or [secret]"}'


def test_an_answer_without_them_stays_as_it_is():
    answer = HttpAnswer(200, {}, b"{}")

    assert without_secrets(answer, CREDENTIALS) is answer
