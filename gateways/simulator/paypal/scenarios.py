"""Vaulted payment methods and cardholders' names, and what the simulator does with them."""

from dataclasses import dataclass
from typing import Final, Literal

from gateways.simulator.core.faults import (
    ALWAYS,
    AT_FIRST_ACCOUNT,
    ONCE,
    TWICE,
    Declines,
    Fault,
    On,
    TokenFault,
    TokenNames,
    fault_at,
)

RefundFate = Literal["pending", "pending_fails", "failed"]


@dataclass(frozen=True, slots=True)
class Scenario:
    """The course of an order, and the fault that hits one kind of call about it. `issue`: PayPal refuses it
    with 422; `processor`: PayPal takes it, and the processor declines it with this code. `declines`: the
    attempts that either refuses."""

    issue: str | None = None
    processor: str | None = None
    declines: Declines = ALWAYS
    challenge: bool = False
    pending: bool = False
    dispute: Literal["RESOLVED_SELLER_FAVOUR", "RESOLVED_BUYER_FAVOUR", "RESOLVED_WITH_PAYOUT"] | None = None
    inquiry: bool = False
    refund: RefundFate | None = None
    fault: TokenFault | None = None


ISSUES: Final = (
    "AGREEMENT_ALREADY_CANCELLED",
    "CARD_EXPIRED",
    "COMPLIANCE_VIOLATION",
    "INSTRUMENT_DECLINED",
    "PAYEE_ACCOUNT_RESTRICTED",
    "PAYER_ACCOUNT_RESTRICTED",
    "PAYER_CANNOT_PAY",
    "TRANSACTION_LIMIT_EXCEEDED",
    "TRANSACTION_REFUSED",
)
_CODES: Final = ("0500", "5120", "5400", "5650", "9500", "00N7", "5200", "1340")

# Source: developer.paypal.com/tools/sandbox/card-testing. The cardholder's name forces the response, in this
# case.
NAMES: Final = {
    "CCREJECT-REFUSED": Scenario(processor="0500"),
    "CCREJECT-SF": Scenario(processor="9500"),
    "CCREJECT-EC": Scenario(processor="5400"),
    "CCREJECT-IRC": Scenario(processor="5180"),
    "CCREJECT-IF": Scenario(processor="5120"),
    "CCREJECT-LS": Scenario(processor="9520"),
    "CCREJECT-IA": Scenario(processor="1330"),
    "CCREJECT-BANK_ERROR": Scenario(processor="5100"),
    "CCREJECT-CVV_F": Scenario(processor="00N7"),
}
SUCCESS: Final = Scenario()

# An order is created without its payer: the next call takes the money, and the fault hits that one.
_NAMES: Final = TokenNames("sim_{}", first="continue")

TOKENS: Final[dict[str, Scenario]] = {
    "sim_ok": SUCCESS,
    "sim_3ds": Scenario(challenge=True),
    "sim_3ds_declined": Scenario(challenge=True, processor="0500"),
    "sim_pending": Scenario(pending=True),
    "sim_pending_declined": Scenario(pending=True, processor="0500"),
    "sim_declined_once": Scenario(processor="0500", declines=ONCE),
    "sim_declined_twice": Scenario(processor="0500", declines=TWICE),
    "sim_soft_here": Scenario(processor="5120", declines=AT_FIRST_ACCOUNT),
    "sim_dispute_won": Scenario(dispute="RESOLVED_SELLER_FAVOUR"),
    "sim_dispute_lost": Scenario(dispute="RESOLVED_BUYER_FAVOUR"),
    "sim_dispute_payout": Scenario(dispute="RESOLVED_WITH_PAYOUT"),
    "sim_inquiry": Scenario(dispute="RESOLVED_SELLER_FAVOUR", inquiry=True),
    **{f"sim_issue_{issue}": Scenario(issue=issue) for issue in ISSUES},
    **{f"sim_processor_{code}": Scenario(processor=code) for code in _CODES},
    **{token: Scenario(fault=fault) for token, fault in _NAMES.at_first().items()},
    **NAMES,
}

# Tokens with which the order is taken as with sim_ok.
LATER_TOKENS: Final[dict[str, Scenario]] = {
    **{token: Scenario(fault=fault) for token, fault in _NAMES.at_later().items()},
    "sim_refund_pending": Scenario(refund="pending"),
    "sim_refund_pending_fails": Scenario(refund="pending_fails"),
    "sim_refund_failed": Scenario(refund="failed"),
}


def chosen(method: str | None) -> Scenario | None:
    """The scenario of a vault id or a cardholder's name; a wallet whose payer agrees has none, and succeeds.
    None: there is no such method."""
    return SUCCESS if method is None else TOKENS.get(method) or LATER_TOKENS.get(method)


def fault_of(method: str | None, on: On) -> Fault | None:
    """The fault that this payment method chooses for this kind of call, else None."""
    scenario = chosen(method)
    return None if scenario is None else fault_at(scenario.fault, on)
