"""Nonces and test amounts, and what the simulator does with them. Source: Braintree's page on testing; what
has `sim` in its name is the simulator's own.
"""

from dataclasses import dataclass, replace
from typing import Final, Literal

from gateways.simulator.core.faults import ALWAYS, ONCE, TWICE, Declines, TokenFault, TokenNames
from gateways.simulator.core.money import MILLS

_UNLISTED_S: Final = 30.0

Fate = Literal[
    "approved", "partial", "declined", "rejected", "failed", "settlement_declined", "settlement_pending"
]


@dataclass(frozen=True, slots=True)
class Scenario:
    """The course of a transaction, and the fault that hits one kind of call about it. `code`: of the
    processor, the reason of a rejection, or of the validation error that refuses the nonce. `declines`: the
    attempts that are refused. `unlisted_s`: so long a search does not find the transaction."""

    fate: Fate = "approved"
    code: str = ""
    invalid: bool = False
    declines: Declines = ALWAYS
    fault: TokenFault | None = None
    refund_fails: bool = False
    dispute: Literal["open", "won", "lost", "retrieval"] | None = None
    unlisted_s: float = 0.0


SUCCESS: Final = Scenario()
_NAMES: Final = TokenNames("fake-sim-{}-nonce", separator="-")
_FAULTS: Final = {nonce: Scenario(fault=fault) for nonce, fault in _NAMES.at_first().items()}

NONCES: Final[dict[str, Scenario]] = {
    **dict.fromkeys(
        [
            "fake-valid-nonce",
            "fake-valid-visa-nonce",
            "fake-valid-mastercard-nonce",
            "fake-valid-amex-nonce",
            "fake-paypal-one-time-nonce",
            "fake-three-d-secure-visa-full-authentication-nonce",
            "fake-three-d-secure-two-visa-successful-step-up-authentication-nonce",
        ],
        SUCCESS,
    ),
    "fake-processor-declined-visa-nonce": Scenario("declined", "2000"),
    "fake-processor-failure-jcb-nonce": Scenario("failed", "3000"),
    "fake-gateway-rejected-fraud-nonce": Scenario("rejected", "FRAUD"),
    "fake-gateway-rejected-risk-thresholds-nonce": Scenario("rejected", "RISK_THRESHOLD"),
    "fake-three-d-secure-visa-failed-authentication-nonce": Scenario("rejected", "THREE_D_SECURE"),
    "fake-three-d-secure-visa-lookup-timeout-nonce": Scenario("rejected", "THREE_D_SECURE"),
    "fake-consumed-nonce": Scenario(code="91564", invalid=True),
    "fake-luhn-invalid-nonce": Scenario(code="81715", invalid=True),
    "fake-sim-declined-hard-nonce": Scenario("declined", "2015"),
    "fake-sim-declined-once-nonce": Scenario("declined", "2000", declines=ONCE),
    "fake-sim-declined-twice-nonce": Scenario("declined", "2000", declines=TWICE),
    "fake-sim-rejected-cvv-nonce": Scenario("rejected", "CVV"),
    "fake-sim-pending-nonce": Scenario("settlement_pending"),
    "fake-sim-settlement-declined-nonce": Scenario("settlement_declined"),
    "fake-sim-refund-fails-nonce": Scenario(refund_fails=True),
    "fake-sim-dispute-nonce": Scenario(dispute="open"),
    "fake-sim-dispute-won-nonce": Scenario(dispute="won"),
    "fake-sim-dispute-lost-nonce": Scenario(dispute="lost"),
    "fake-sim-dispute-retrieval-nonce": Scenario(dispute="retrieval"),
    "fake-sim-unlisted-nonce": Scenario(unlisted_s=_UNLISTED_S),
    "fake-sim-lost-unlisted-nonce": replace(_FAULTS["fake-sim-lost-nonce"], unlisted_s=_UNLISTED_S),
    **_FAULTS,
    **{nonce: Scenario(fault=fault) for nonce, fault in _NAMES.at_later().items()},
}

AMOUNTS: Final = (
    ("1004.00", "approved for half of it, 1004"),
    ("2000.00-2999.99", "PROCESSOR_DECLINED with the number as its code"),
    ("3000.00-3000.99", "FAILED, 3000"),
    ("4001.00-4001.99", "submitted, then SETTLEMENT_DECLINED"),
    ("4002.00-4002.99", "SETTLEMENT_PENDING, then SETTLED"),
    ("5001.00", "GATEWAY_REJECTED, APPLICATION_INCOMPLETE"),
)


def chosen(nonce: str, mills: int, *, by_amount: bool) -> Scenario | None:
    """The scenario of a new transaction. None: there is no such payment method. The amount chooses only where
    the nonce is one that succeeds."""
    scenario = NONCES.get(nonce)
    if scenario is not SUCCESS or not by_amount:
        return scenario
    whole, part = divmod(mills, MILLS)
    return _of_amount(whole, exact=part == 0)


def _of_amount(whole: int, *, exact: bool) -> Scenario:
    match whole:
        case 1004 if exact:
            return Scenario("partial", "1004")
        case 3000:
            return Scenario("failed", "3000")
        case 4001:
            return Scenario("settlement_declined")
        case 4002:
            return Scenario("settlement_pending")
        case 5001 if exact:
            return Scenario("rejected", "APPLICATION_INCOMPLETE")
        case _ if 2000 <= whole < 3000:
            return Scenario("declined", str(whole))
        case _:
            return SUCCESS


def of_nonce(nonce: str) -> Scenario:
    """The scenario of the calls after the first."""
    return NONCES.get(nonce, SUCCESS)
