"""What a vaulted payment method, or a cardholder's name, makes the simulator do."""

from dataclasses import dataclass
from typing import Final, Literal

from gateways.simulator.faults import AFTER_S, Do, Mishap, On

RefundFate = Literal["pending", "pending_fails", "failed"]
SETTLES_AFTER_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """How the order is taken, and what goes wrong with one kind of call about it. `issue`: refused with 422;
    `processor`: taken in, and declined with this code; either for the first `declines` attempts at one payment, None:
    all. `at_first`: only at the account named first."""

    issue: str | None = None
    processor: str | None = None
    declines: int | None = None
    at_first: bool = False
    challenge: bool = False
    pending: bool = False
    dispute: Literal["RESOLVED_SELLER_FAVOUR", "RESOLVED_BUYER_FAVOUR"] | None = None
    refund: RefundFate | None = None
    on: On = "continue"
    mishap: Mishap | None = None


def _mishap(do: Do, times: int | None = None, *, of_payment: bool = False) -> Mishap:
    return Mishap(do, AFTER_S.get(do, 0.0), times, of_payment)


_MISHAPS: Final = {
    "429": _mishap("429"),
    "429_once": _mishap("429", 1, of_payment=True),
    "429_twice": _mishap("429", 2, of_payment=True),
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

# Source: developer.paypal.com, card testing: the cardholder's name forces the answer, in this case.
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

TOKENS: Final[dict[str, Scenario]] = {
    "sim_ok": SUCCESS,
    "sim_3ds": Scenario(challenge=True),
    "sim_3ds_declined": Scenario(challenge=True, processor="0500"),
    "sim_pending": Scenario(pending=True),
    "sim_pending_declined": Scenario(pending=True, processor="0500"),
    "sim_declined_once": Scenario(processor="0500", declines=1),
    "sim_declined_twice": Scenario(processor="0500", declines=2),
    "sim_soft_here": Scenario(processor="5120", at_first=True),
    "sim_dispute_won": Scenario(dispute="RESOLVED_SELLER_FAVOUR"),
    "sim_dispute_lost": Scenario(dispute="RESOLVED_BUYER_FAVOUR"),
    **{f"sim_issue_{issue}": Scenario(issue=issue) for issue in ISSUES},
    **{f"sim_processor_{code}": Scenario(processor=code) for code in _CODES},
    **{f"sim_{name}": Scenario(mishap=mishap) for name, mishap in _MISHAPS.items()},
    **NAMES,
}

# With these the order is taken as with sim_ok.
LATER_TOKENS: Final[dict[str, Scenario]] = {
    **{
        f"sim_{on}_{name}": Scenario(on=on, mishap=mishap)
        for on in _LATER_CALLS
        for name, mishap in _MISHAPS.items()
    },
    "sim_refund_pending": Scenario(refund="pending"),
    "sim_refund_pending_fails": Scenario(refund="pending_fails"),
    "sim_refund_failed": Scenario(refund="failed"),
}


def chosen(method: str | None) -> Scenario | None:
    """By the vault id, or the cardholder's name; a wallet whose payer was asked has none. None: there is no such."""
    return SUCCESS if method is None else TOKENS.get(method) or LATER_TOKENS.get(method)


def mishap(method: str | None, on: On) -> Mishap | None:
    scenario = chosen(method)
    return scenario.mishap if scenario is not None and scenario.on == on else None
