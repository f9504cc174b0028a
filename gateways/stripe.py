"""Stripe: payment intents, created and confirmed in one call.

Invariant: APPROVED only for this reference, amount and currency, read from an answer that says all three; DECLINED
only where Stripe calls it one. A sent call with any other answer is UNKNOWN.
Sources: API reference 2026-08-26.dahlia (payment intents, errors, idempotent requests, search).
"""

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlencode

from commands.messages import Outcome
from gateways import scrubbed, stripe_amounts
from gateways import stripe_answers as answers
from gateways.contract import Call, Credentials, HttpAnswer, HttpRequest

VERSION: Final = "2026-08-26.dahlia"
INTENTS: Final = "/v1/payment_intents"


@dataclass(frozen=True, slots=True)
class Stripe:
    """`takes_ugx`: the account's owner has checked that Stripe takes UGX with two decimals; its pages disagree."""

    name: str = "stripe"
    key_life_s: int = 23 * 3600  # Stripe may forget a key after 24 h
    absence_delay_s: float = 3600.0  # search lags by less than a minute, in outages by up to an hour
    takes_ugx: bool = False

    def request(self, call: Call, credentials: Credentials) -> HttpRequest | Outcome:
        if call.currency == "UGX" and not self.takes_ugx:
            detail = "UGX is not switched on for this account"
            return Outcome(kind="NOT_SENT", code="currency_not_supported", detail=detail)
        try:
            wire = stripe_amounts.to_wire(call.amount_minor, call.currency)
        except stripe_amounts.NotExpressible as refused:
            return Outcome(kind="NOT_SENT", code=refused.code, detail=refused.detail)
        # A repeat must send the same bytes: nothing here depends on what is known since the first try.
        form = {
            "amount": str(wire),
            "currency": call.currency.lower(),
            "capture_method": "automatic",
            "confirm": "true",
            "payment_method": call.payment_method,
            "payment_method_types[]": "card",
            "metadata[order_ref]": call.reference,
        }
        if call.description is not None:
            form["description"] = call.description
        if credentials.return_url is not None:
            form["return_url"] = credentials.return_url
        headers = {
            **_headers(credentials),
            "Idempotency-Key": call.key,
            "Content-Type": "application/x-www-form-urlencoded",
        }
        return HttpRequest("POST", INTENTS, headers, urlencode(form, safe="[]").encode())

    def outcome(self, call: Call, answer: HttpAnswer) -> Outcome:
        body = answers.json_object(answer.body)
        if answer.status == 200:
            return answers.of_intent(call, body, answer, source="call") or Outcome(
                kind="NOT_SENT",
                psp_id=answers.intent_id(body),
                code="not_confirmed",
                detail=answers.status_text(body),
            )
        error = body.get("error")
        if not isinstance(error, dict):
            # Not Stripe's own words: whatever stands in between may have passed the call on.
            hint = answers.hint_of_status(answer.status)
            return answers.unknown(answer, f"http_{answer.status}", None, hint=hint)
        match answer.status, error.get("type"):
            case 400 | 409, "idempotency_error":
                return answers.unknown(answer, "idempotency_error", error, repeat_is_useless=True)
            case 402, "card_error":
                return answers.declined(call, error, error.get("payment_intent"), answer, source="call")
            case 400, "invalid_request_error":
                if error.get("code") == "payment_intent_unexpected_state":
                    found = answers.of_intent(call, error.get("payment_intent"), answer, source="call")
                    return found or answers.not_sent(answer, "not_confirmed", error)
                return answers.not_sent(answer, "invalid_request", error)
            case 401 | 403 | 404, _:
                return answers.not_sent(
                    answer, scrubbed.code(error.get("code")) or "refused", error, hint="CONFIG"
                )
            case 429, _:
                return answers.not_sent(answer, "rate_limited", error)
            case status, _:
                code = scrubbed.code(error.get("code")) or f"http_{status}"
                return answers.unknown(answer, code, error, hint=answers.hint_of_status(status))

    def lookup(self, call: Call, credentials: Credentials) -> HttpRequest:
        headers = _headers(credentials)
        if answers.is_intent_id(call.psp_id):
            path = f"{INTENTS}/{call.psp_id}?{urlencode({'expand[]': 'latest_charge'}, safe='[]')}"
        else:
            literal = call.reference.replace("\\", "\\\\").replace("'", "\\'")
            query = f"metadata['order_ref']:'{literal}'"
            path = f"{INTENTS}/search?query={quote(query, safe='')}"
        return HttpRequest("GET", path, headers, None)

    def found(self, call: Call, answer: HttpAnswer) -> Outcome | None:
        """None also for an intent that was never confirmed: it is proof under the same conditions."""
        by_id = answers.is_intent_id(call.psp_id)
        body = answers.json_object(answer.body)
        if answer.status != 200:
            code = "psp_id_not_found" if by_id and answer.status == 404 else f"http_{answer.status}"
            hint = answers.hint_of_status(answer.status)
            return answers.unknown(answer, code, body.get("error"), hint=hint)
        if not by_id:
            return answers.of_search(call, body, answer)
        if body.get("object") == "payment_intent" and body.get("id") != call.psp_id:
            return answers.unknown(answer, "psp_id_mismatch", None)
        return answers.of_intent(call, body, answer, source="query")


def _headers(credentials: Credentials) -> dict[str, str]:
    return {"Authorization": f"Bearer {credentials.secret}", "Stripe-Version": VERSION}
