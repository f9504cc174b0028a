"""The suite can fail: adapters with one fault each, of those that cost money, and the test that finds it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import uuid4

import orjson
import pytest

from commands.messages import Outcome
from gateways.contract import Call, Credentials, HttpRequest, HttpResponse
from gateways.stripe.adapter import Stripe
from infra.psp.http_client import HttpClient
from tests.gateways.conformance import (
    test_fuzz,
    test_lookups,
    test_requests,
    test_responses,
    test_secrets,
)
from tests.gateways.conformance.book import CaseBook
from tests.gateways.conformance.books import CASEBOOKS
from tests.gateways.conformance.faulty_server import responds


class BelievesEvery200(Stripe):
    def outcome(self, call: Call, response: HttpResponse) -> Outcome:
        if response.status == 200:
            return Outcome(kind="APPROVED", amount_minor=call.amount_minor, currency=call.currency)
        return super().outcome(call, response)


class DeclinesWhatIsBroken(Stripe):
    def outcome(self, call: Call, response: HttpResponse) -> Outcome:
        if response.status >= 500:
            return Outcome(kind="DECLINED_SOFT", code="server_error")
        return super().outcome(call, response)


class Raises(Stripe):
    def outcome(self, call: Call, response: HttpResponse) -> Outcome:
        orjson.loads(response.body)["id"]
        return super().outcome(call, response)


class TakesNothingForProof(Stripe):
    def found(self, call: Call, response: HttpResponse) -> Outcome | None:
        return super().found(call, response) if response.status == 200 else None


class NewKeyEachTime(Stripe):
    def request(self, call: Call, credentials: Credentials) -> HttpRequest | Outcome:
        request = super().request(call, credentials)
        assert isinstance(request, HttpRequest)
        return replace(request, headers={**request.headers, "Idempotency-Key": str(uuid4())})


class RoundsAmounts(Stripe):
    def request(self, call: Call, credentials: Credentials) -> HttpRequest | Outcome:
        return super().request(replace(call, amount_minor=call.amount_minor // 10 * 10), credentials)


class QuotesThePsp(Stripe):
    def outcome(self, call: Call, response: HttpResponse) -> Outcome:
        detail = response.body.decode(errors="replace")[:500]
        return super().outcome(call, response).model_copy(update={"detail": detail})


def careless(gateway: Stripe) -> CaseBook:
    return replace(CASEBOOKS["stripe"], gateway=gateway)


def _answers_another(book: CaseBook) -> None:
    test_responses.test_a_response_about_another_thing_than_was_requested_is_unknown(book, "sale", "more")


def _unused(_: Call, __: Any) -> HttpResponse:
    raise AssertionError("only the status is read")


@pytest.mark.parametrize(
    ("gateway", "check"),
    [
        (BelievesEvery200(), _answers_another),
        (
            BelievesEvery200(),
            lambda book: (
                test_fuzz.test_nothing_that_is_done_to_a_response_about_another_thing_makes_it_an_approval(
                    book, "more"
                )
            ),
        ),
        (BelievesEvery200(), test_responses.test_an_error_in_a_response_that_says_200_is_no_approval),
        (
            DeclinesWhatIsBroken(),
            lambda book: test_responses.test_a_proxys_response_is_not_taken_for_the_psps(book, "sale", 502),
        ),
        (
            BelievesEvery200(),
            lambda book: test_fuzz.test_no_one_change_of_a_true_response_is_taken_for_what_it_does_not_say(
                book, book.oracle
            ),
        ),
        (BelievesEvery200(), test_fuzz.test_no_mutated_response_raises_or_approves_what_was_not_requested),
        (Raises(), test_fuzz.test_no_mutated_response_raises_or_approves_what_was_not_requested),
        (
            TakesNothingForProof(),
            lambda book: test_lookups.test_a_lookup_that_failed_proves_nothing(
                book, "sale", "by_reference", _unused, 503
            ),
        ),
        (
            NewKeyEachTime(),
            lambda book: test_requests.test_a_repeat_has_the_same_bytes(book, "sale"),
        ),
        (
            RoundsAmounts(),
            lambda book: test_requests.test_an_amount_is_written_as_the_psp_reads_it_or_refused(
                book, 1099, "USD"
            ),
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Stripe) else "",
)
def test_a_careless_adapter_is_found(gateway: Stripe, check: Callable[[CaseBook], Any]):
    with pytest.raises((AssertionError, KeyError, TypeError, ValueError)):
        check(careless(gateway))


async def test_an_adapter_that_quotes_its_psp_is_found(caplog: pytest.LogCaptureFixture):
    check = test_secrets.test_what_a_psp_quotes_of_a_secret_or_a_card_is_neither_reported_nor_logged
    async with HttpClient.open(10) as http:
        with pytest.raises(AssertionError):
            await check(careless(QuotesThePsp()), "sale", responds, http, caplog)
