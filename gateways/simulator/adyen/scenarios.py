"""Test values and what the simulator does with them. Source:
docs.adyen.com/development-resources/testing/result-codes; tokens are its own.
"""

from dataclasses import dataclass
from typing import Final, Literal

from gateways.simulator.adyen.refusals import REFUSALS
from gateways.simulator.core.faults import (
    ALWAYS,
    AT_FIRST_ACCOUNT,
    ONCE,
    TWICE,
    Declines,
    TokenFault,
    TokenNames,
)

Ends = Literal["Authorised", "PartiallyAuthorised", "Refused", "Cancelled", "Error"]
Fate = Literal["refused", "failed"]
"""The result of a modification. `refused`: reported with success false. `failed`: reported as done, and
afterwards as failed; its money never moves."""
TestError = Literal["no_connection", "io_exception"]


@dataclass(frozen=True, slots=True)
class Scenario:
    """The course of a payment. `challenge`: a page of 3-D Secure comes first. `later`: Adyen responds with
    Received, and decides some time after. `code`: of the refusal; `declines`: the attempts that it refuses.
    `held`: the result is Error or Refused, and the money is held all the same. `fault`: what goes wrong with
    one kind of call about it. `dispute`: the events of the one that follows its capture."""

    ends: Ends = "Authorised"
    code: str | None = None
    challenge: bool = False
    later: bool = False
    held: bool = False
    declines: Declines = ALWAYS
    test_error: TestError | None = None
    fault: TokenFault | None = None
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
"""The values of `paymentMethod.holderName`; tokens have their names."""

BY_NUMBER: Final[dict[str, Scenario]] = {
    "0": _ERROR,
    "1": APPROVED,
    **{
        scenario.code: scenario
        for scenario in RESULTS.values()
        if scenario.code is not None and scenario.code in REFUSALS
    },
}
"""The values of `additionalData.RequestedTestAcquirerResponseCode`."""

TEST_ERRORS: Final[dict[str, Scenario]] = {
    "NO_CONNECTION_AVAILABLE": Scenario(test_error="no_connection"),
    "IOEXCEPTION_RECEIVED": Scenario(test_error="io_exception"),
}
"""The values of `additionalData.RequestedTestErrorResponseCode`."""

CARDS: Final[dict[str, Scenario]] = {
    "4111111111111111": APPROVED,
    "5454545454545454": Scenario(challenge=True),
    "4917610000000000": Scenario(challenge=True),
}

_NAMES: Final = TokenNames("sim_{}")

TOKENS: Final[dict[str, Scenario]] = {
    **{f"sim_{name}": scenario for name, scenario in RESULTS.items()},
    **{f"sim_{name}": scenario for name, scenario in TEST_ERRORS.items()},
    "sim_3DS": Scenario(challenge=True),
    "sim_3DS_DECLINED": Scenario("Refused", "12", challenge=True),
    "sim_RECEIVED": Scenario(later=True),
    "sim_RECEIVED_DECLINED": Scenario("Refused", "12", later=True),
    "sim_PARTIAL": Scenario("PartiallyAuthorised"),
    "sim_ERROR_HELD": Scenario("Error", "4", held=True),
    "sim_ACQUIRER_ERROR": Scenario("Refused", "4"),
    "sim_ACQUIRER_ERROR_HERE": Scenario("Refused", "4", declines=AT_FIRST_ACCOUNT),
    "sim_ACQUIRER_ERROR_HELD": Scenario("Refused", "4", held=True),
    "sim_declined_once": Scenario("Refused", "2", declines=ONCE),
    "sim_declined_twice": Scenario("Refused", "2", declines=TWICE),
    "sim_soft_here": Scenario("Refused", "12", declines=AT_FIRST_ACCOUNT),
    **{token: Scenario(fault=fault) for token, fault in _NAMES.at_first().items()},
    **{token: Scenario(fault=fault) for token, fault in _NAMES.at_later().items()},
    "sim_CAPTURE_REFUSED": Scenario(capture="refused"),
    "sim_CAPTURE_FAILED": Scenario(capture="failed"),
    "sim_CANCEL_REFUSED": Scenario(cancel="refused"),
    "sim_REFUND_REFUSED": Scenario(refund="refused"),
    "sim_REFUND_FAILED": Scenario(refund="failed"),
    "sim_REQUEST_FOR_INFORMATION": Scenario(dispute=("REQUEST_FOR_INFORMATION",)),
    "sim_CHARGEBACK": Scenario(dispute=("NOTIFICATION_OF_CHARGEBACK", "CHARGEBACK")),
    "sim_CHARGEBACK_LOST": Scenario(dispute=("CHARGEBACK", "CHARGEBACK_REVERSED", "SECOND_CHARGEBACK")),
    "sim_CHARGEBACK_WON": Scenario(dispute=("CHARGEBACK", "CHARGEBACK_REVERSED", "PREARBITRATION_WON")),
}
