"""What a PSP quotes of what it was sent. Invariant: no token of a call, and no secret, stands in what is reported of it."""

from dataclasses import replace
from typing import Final

from commands.messages import Outcome
from gateways.contract import Call, Credentials, HttpAnswer

_LENGTH_MIN: Final = 6  # a shorter one is a word that may stand anywhere


def without_secrets(answer: HttpAnswer, credentials: Credentials) -> HttpAnswer:
    secrets = [
        one.encode() for one in (credentials.secret, credentials.access_token) if len(one) >= _LENGTH_MIN
    ]
    body = answer.body
    for secret in secrets:
        body = body.replace(secret, b"[secret]")
    return answer if body is answer.body else replace(answer, body=body)


def without_tokens(outcome: Outcome, call: Call) -> Outcome:
    stored = call.stored_credential
    tokens = [call.payment_method, stored and stored.customer_token, *call.returned.values()]
    detail = outcome.detail or ""
    for token in sorted({one for one in tokens if one and len(one) >= _LENGTH_MIN}, key=len, reverse=True):
        detail = detail.replace(token, "[token]")
        # A long text was cut, perhaps in the middle of one.
        starts = range(len(token) - 1, _LENGTH_MIN - 1, -1)
        cut = next((length for length in starts if detail.endswith(token[:length])), 0)
        detail = detail[: len(detail) - cut]
    return (
        outcome if detail == (outcome.detail or "") else outcome.model_copy(update={"detail": detail or None})
    )
