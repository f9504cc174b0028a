"""What a token, a test card or a test instruction makes the simulator do. Source: docs.adyen.com on result code testing."""

from dataclasses import dataclass
from typing import Final, Literal

from gateways.adyen.codes import REFUSALS
from gateways.simulator.faults import AFTER_S, Do, Mishap, On

Ends = Literal["Authorised", "PartiallyAuthorised", "Refused", "Cancelled", "Error"]
Fate = Literal["refused", "failed"]
"""`refused`: told with success false. `failed`: told as done, and afterwards as failed; its money never moves."""
Trouble = Literal["no_connection", "io_exception"]

SETTLES_AFTER_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """`asks`: a page of 3-D Secure comes first. `later`: answered with Received, and decided some time after.
    `code`: of the refusal. `declines`: how many attempts at one payment it refuses before the next succeeds; None:
    all. `at_first`: only at the account named first. `held`: the answer says Error, and the money is held all the
    same. `mishap`: what goes wrong with one kind of call about it. `dispute`: the events of one that follows its
    capture."""

    ends: Ends = "Authorised"
    code: str | None = None
    asks: bool = False
    later: bool = False
    held: bool = False
    declines: int | None = None
    at_first: bool = False
    trouble: Trouble | None = None
    on: On = "create"
    mishap: Mishap | None = None
    capture: Fate | None = None
    cancel: Fate | None = None
    refund: Fate | None = None
    dispute: tuple[str, ...] = ()


APPROVED: Final = Scenario()
_ERROR: Final = Scenario("Error", "4")


def _refused(code: str, ends: Ends = "Refused") -> Scenario:
    return Scenario(ends, code)


RESULTS: Final[dict[str, Scenario]] = {
    "APPROVED": APPROVED,
    "DECLINED": _refused("2"),
    "REFERRAL": _refused("3"),
    "ERROR": _ERROR,
    "BLOCK_CARD": _refused("5"),
    "CARD_EXPIRED": _refused("6"),
    "INVALID_AMOUNT": _refused("7"),
    "INVALID_CARD_NUMBER": _refused("8"),
    "ISSUER_UNAVAILABLE": _refused("9"),
    "NOT_SUPPORTED": _refused("10"),
    "NOT_3D_AUTHENTICATED": _refused("11"),
    "NOT_ENOUGH_BALANCE": _refused("12"),
    "ACQUIRER_FRAUD": _refused("14"),
    "CANCELLED": _refused("15", "Cancelled"),
    "SHOPPER_CANCELLED": _refused("16", "Cancelled"),
    "FRAUD": _refused("20"),
    "FRAUD_CANCELLED": _refused("22", "Cancelled"),
    "TRANSACTION_NOT_PERMITTED": _refused("23"),
    "CVC_DECLINED": _refused("24"),
    "RESTRICTED_CARD": _refused("25"),
    "DECLINED_NON_GENERIC": _refused("27"),
    "ISSUER_SUSPECTED_FRAUD": _refused("31"),
    "AVS_DECLINED": _refused("32"),
    "AUTHENTICATION_REQUIRED": _refused("38"),
    "ERPS_BLOCK": _refused("46"),
}
"""Taken as `paymentMethod.holderName`, too."""

BY_NUMBER: Final[dict[str, Scenario]] = {
    "0": _ERROR,
    "1": APPROVED,
    **{
        scenario.code: scenario
        for scenario in RESULTS.values()
        if scenario.code is not None and scenario.code in REFUSALS
    },
}
"""As `additionalData.RequestedTestAcquirerResponseCode`."""

TROUBLES: Final[dict[str, Scenario]] = {
    "NO_CONNECTION_AVAILABLE": Scenario(trouble="no_connection"),
    "IOEXCEPTION_RECEIVED": Scenario(trouble="io_exception"),
}
"""As `additionalData.RequestedTestErrorResponseCode`."""

CARDS: Final[dict[str, Scenario]] = {
    "4111111111111111": APPROVED,
    "5454545454545454": Scenario(asks=True),
    "4917610000000000": Scenario(asks=True),
}


def _mishap(do: Do, times: int | None = None, *, of_payment: bool = False) -> Mishap:
    return Mishap(do, AFTER_S.get(do, 0.0), times, of_payment)


MISHAPS: Final = {
    "429": _mishap("429"),
    "429_once": _mishap("429", 1, of_payment=True),
    "500": _mishap("500"),
    "500_once": _mishap("500_once", 1),
    "drip": _mishap("drip"),
    "garbage": _mishap("garbage"),
    "hang": _mishap("hang", 1),
    "late": _mishap("late"),
    "lost": _mishap("lost"),
    "reset_before": _mishap("reset", 1),
    "slow": _mishap("slow"),
    "timeout": _mishap("timeout"),
    "vanish": _mishap("vanish"),
    "wrong_amount": _mishap("wrong_amount"),
    "wrong_currency": _mishap("wrong_currency"),
}
_LATER_CALLS: Final[tuple[On, ...]] = ("capture", "cancel", "refund")

TOKENS: Final[dict[str, Scenario]] = {
    **{f"sim_{name}": scenario for name, scenario in RESULTS.items()},
    **{f"sim_{name}": scenario for name, scenario in TROUBLES.items()},
    "sim_3DS": Scenario(asks=True),
    "sim_3DS_DECLINED": Scenario("Refused", "12", asks=True),
    "sim_RECEIVED": Scenario(later=True),
    "sim_RECEIVED_DECLINED": Scenario("Refused", "12", later=True),
    "sim_PARTIAL": Scenario("PartiallyAuthorised"),
    "sim_ERROR_HELD": Scenario("Error", "4", held=True),
    "sim_declined_once": Scenario("Refused", "2", declines=1),
    "sim_declined_twice": Scenario("Refused", "2", declines=2),
    "sim_soft_here": Scenario("Refused", "12", at_first=True),
    **{f"sim_{name}": Scenario(mishap=mishap) for name, mishap in MISHAPS.items()},
    **{
        f"sim_{on}_{name}": Scenario(on=on, mishap=mishap)
        for on in _LATER_CALLS
        for name, mishap in MISHAPS.items()
    },
    "sim_CAPTURE_REFUSED": Scenario(capture="refused"),
    "sim_CAPTURE_FAILED": Scenario(capture="failed"),
    "sim_CANCEL_REFUSED": Scenario(cancel="refused"),
    "sim_REFUND_REFUSED": Scenario(refund="refused"),
    "sim_REFUND_FAILED": Scenario(refund="failed"),
    "sim_CHARGEBACK": Scenario(dispute=("NOTIFICATION_OF_CHARGEBACK", "CHARGEBACK")),
    "sim_CHARGEBACK_LOST": Scenario(dispute=("CHARGEBACK", "CHARGEBACK_REVERSED", "SECOND_CHARGEBACK")),
    "sim_CHARGEBACK_WON": Scenario(dispute=("CHARGEBACK", "CHARGEBACK_REVERSED", "PREARBITRATION_WON")),
}
