"""What a payment method's nonce, or a test amount, makes the simulator do. Source: Braintree's page on testing; what has
`sim` in its name is the simulator's own.
"""

from dataclasses import dataclass
from typing import Final, Literal

from aggregates import money
from gateways.simulator.faults import AFTER_S, Do, Mishap, On

SETTLES_AFTER_S: Final = 2.0
_UNLISTED_S: Final = 30.0

Fate = Literal[
    "approved", "partial", "declined", "rejected", "failed", "settlement_declined", "settlement_pending"
]


@dataclass(frozen=True, slots=True)
class Scenario:
    """`code`: of the processor, the reason of a rejection, or of the validation error that refuses the token. `declines`:
    how many attempts at one payment are refused before the next succeeds; None: all."""

    fate: Fate = "approved"
    code: str = ""
    invalid: bool = False
    declines: int | None = None
    on: On = "create"
    mishap: Mishap | None = None
    refund_fails: bool = False
    dispute: Literal["open", "won", "lost"] | None = None
    unlisted_s: float = 0.0


SUCCESS: Final = Scenario()


def _mishap(do: Do, times: int | None = None, *, of_payment: bool = False) -> Mishap:
    return Mishap(do, AFTER_S.get(do, 0.0), times, of_payment)


_MISHAPS: Final = {
    "429": _mishap("429"),
    "429-once": _mishap("429", 1, of_payment=True),
    "429-twice": _mishap("429", 2, of_payment=True),
    "500": _mishap("500"),
    "500-once": _mishap("500_once", 1),
    "drip": _mishap("drip"),
    "garbage": _mishap("garbage"),
    "hang": _mishap("hang", 1),
    "late": _mishap("late"),
    "lost": _mishap("lost"),
    "reset-before": _mishap("reset", 1),
    "slow": _mishap("slow"),
    "timeout": _mishap("timeout"),
    "vanish": _mishap("vanish"),
    "wrong-amount": _mishap("wrong_amount"),
    "wrong-currency": _mishap("wrong_currency"),
}
_LATER_CALLS: Final[tuple[On, ...]] = ("capture", "cancel", "refund")

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
    "fake-sim-declined-once-nonce": Scenario("declined", "2000", declines=1),
    "fake-sim-declined-twice-nonce": Scenario("declined", "2000", declines=2),
    "fake-sim-rejected-cvv-nonce": Scenario("rejected", "CVV"),
    "fake-sim-pending-nonce": Scenario("settlement_pending"),
    "fake-sim-settlement-declined-nonce": Scenario("settlement_declined"),
    "fake-sim-refund-fails-nonce": Scenario(refund_fails=True),
    "fake-sim-dispute-nonce": Scenario(dispute="open"),
    "fake-sim-dispute-won-nonce": Scenario(dispute="won"),
    "fake-sim-dispute-lost-nonce": Scenario(dispute="lost"),
    "fake-sim-unlisted-nonce": Scenario(unlisted_s=_UNLISTED_S),
    "fake-sim-lost-unlisted-nonce": Scenario(mishap=_MISHAPS["lost"], unlisted_s=_UNLISTED_S),
    **{f"fake-sim-{name}-nonce": Scenario(mishap=mishap) for name, mishap in _MISHAPS.items()},
    **{
        f"fake-sim-{on}-{name}-nonce": Scenario(on=on, mishap=mishap)
        for on in _LATER_CALLS
        for name, mishap in _MISHAPS.items()
    },
}

AMOUNTS: Final = (
    ("1004.00", "approved for half of it, 1004"),
    ("2000.00-2999.99", "PROCESSOR_DECLINED with the number as its code"),
    ("3000.00-3000.99", "FAILED, 3000"),
    ("4001.00-4001.99", "submitted, then SETTLEMENT_DECLINED"),
    ("4002.00-4002.99", "SETTLEMENT_PENDING, then SETTLED"),
    ("5001.00", "GATEWAY_REJECTED, APPLICATION_INCOMPLETE"),
)


def chosen(nonce: str, minor: int, currency: str, *, by_amount: bool) -> Scenario | None:
    """None for a payment method that does not exist. An amount chooses only where the nonce says nothing special."""
    scenario = NONCES.get(nonce)
    if scenario is not SUCCESS or not by_amount:
        return scenario
    whole, part = divmod(minor, 10 ** money.exponent(currency))
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
    """What it makes of the calls after the first."""
    return NONCES.get(nonce, SUCCESS)
