"""What the adapter makes of a body of Braintree's: as the response to a call, and as that to a lookup."""

from dataclasses import replace
from typing import Any

from commands.messages import Outcome
from gateways.braintree.adapter import Braintree
from gateways.contract import Call, Gateway
from tests.gateways.braintree.payloads import (
    CALL,
    TRANSACTION_ID,
    http_response,
)

BRAINTREE: Gateway = Braintree()
KNOWN = replace(CALL, psp_id=TRANSACTION_ID)


def outcome(body: Any, call: Call = CALL, status: int = 200) -> Outcome:
    return BRAINTREE.outcome(call, http_response(body, status))


def found(body: Any, call: Call = CALL) -> Outcome | None:
    return BRAINTREE.found(call, http_response(body))


def kinds(result: Outcome) -> tuple[str, str | None, str | None]:
    return result.kind, result.code, result.hint
