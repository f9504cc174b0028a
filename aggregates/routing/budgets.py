"""How often a declined card may be tried again, by its scheme's rules. Pure.

Invariant: what was judged is in `Seen`, so that a decision is made again from its record alone. The limits
are data, with their sources; docs/adr/0031 says what is counted, and why an unknown scheme is held to the
strictest of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from aggregates.money import Money

DAY: Final = timedelta(hours=24)
MONTH: Final = timedelta(days=30)
LONGEST: Final = MONTH
"""No older decline counts, unless it forbids every later attempt."""


@dataclass(frozen=True, slots=True)
class DeclinedAttempt:
    """An attempt at a card that was declined. `issuer_code`, `issuer_advice`: as the scheme writes them."""

    operation_id: str
    amount: Money
    declined_at: datetime
    scheme: str | None = None
    issuer_code: str | None = None
    issuer_advice: str | None = None

    @property
    def forbids(self) -> bool:
        """True if some scheme allows no attempt after it, however long ago it was."""
        return self.issuer_code in STRICTEST.never_after or self.issuer_advice in STRICTEST.never_advised


@dataclass(frozen=True, slots=True)
class SchemeRules:
    """`never_after`: codes after which no attempt may follow; `never_advised`: the same, of advice codes.
    `in_day`, `in_month`: the declines after which none may follow for now; None: no such limit."""

    never_after: frozenset[str] = frozenset()
    never_advised: frozenset[str] = frozenset()
    in_day: int | None = None
    in_month: int | None = None


RULES: Final[Mapping[str, SchemeRules]] = {
    # Category 1, which "the issuer will never approve", and 15 reattempts of one amount in 30 days for the
    # rest: developers.tabapay.com/docs/excessive-retry-rules, payway.com/visa-excessive-reattempts-rule-fees.
    # Since May 2025 acquirers allow 20 (support.checkout.com, "When can I retry a declined transaction");
    # 15 is within both.
    "visa": SchemeRules(
        never_after=frozenset({"04", "07", "12", "14", "15", "41", "43", "46", "57", "R0", "R1", "R3"}),
        in_month=15,
    ),
    # Transaction Processing Excellence: 10 declines in 24 hours and 35 in 30 days (the same two pages), and
    # the advice codes "do not try again" and "payment cancellation"
    # (docs.adyen.com/development-resources/raw-acquirer-responses).
    "mastercard": SchemeRules(never_advised=frozenset({"03", "21"}), in_day=10, in_month=35),
    # All codes count, and the 16th retry of one card and amount within 30 days is charged for:
    # suporte.braspag.com.br, "Regras para retentativa das bandeiras".
    "elo": SchemeRules(in_month=15),
}
STRICTEST: Final = SchemeRules(
    never_after=frozenset[str]().union(*(one.never_after for one in RULES.values())),
    never_advised=frozenset[str]().union(*(one.never_advised for one in RULES.values())),
    in_day=min(one.in_day for one in RULES.values() if one.in_day is not None),
    in_month=min(one.in_month for one in RULES.values() if one.in_month is not None),
)
"""For a scheme that is not known, or that publishes no rule."""

# ISO/IEC 7812 leaves the first digits to the schemes; these ranges are in their own public documents.
_BINS: Final[tuple[tuple[str, int, int], ...]] = (
    ("visa", 400000, 499999),
    ("mastercard", 510000, 559999),
    ("mastercard", 222100, 272099),
    ("amex", 340000, 349999),
    ("amex", 370000, 379999),
)
_ALSO_CALLED: Final = {"mc": "mastercard", "master_card": "mastercard", "american_express": "amex"}


def scheme_of(scheme: str | None, bin_digits: str | None = None) -> str | None:
    """Returns a scheme's name as `RULES` has it: as the merchant gave it, else by the card's first digits.
    None: not known."""
    if scheme is not None:
        return _ALSO_CALLED.get(scheme, scheme)
    if bin_digits is None:
        return None
    first = int(bin_digits[:6])
    return next((name for name, least, most in _BINS if least <= first <= most), None)


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of a card's declines, counted for one amount. `never`: the first code, of any amount,
    that forbids every later attempt, and whether it is a code or an advice. `free_at_day`, `free_at_month`:
    when the oldest decline of a full window leaves it."""

    scheme: str | None
    in_day: int
    in_month: int
    never: tuple[Literal["code", "advice"], str, datetime] | None = None
    free_at_day: datetime | None = None
    free_at_month: datetime | None = None


@dataclass(frozen=True, slots=True)
class Spent:
    """Why a card may not be tried. `code`: `retry_forbidden`, or `retry_budget_spent` until `until`. `seen`:
    what it follows from."""

    code: Literal["retry_forbidden", "retry_budget_spent"]
    detail: str
    seen: Seen
    until: datetime | None = None


def budget(
    history: Sequence[DeclinedAttempt], scheme: str | None, amount: Money, now: datetime
) -> Spent | None:
    """Returns why no attempt of this amount may follow. None: one may. `history`: of one card, in any order;
    an attempt that it has twice counts once. `scheme`: the payment's; None: not known."""
    return judge(seen(history, scheme, amount, now))


def seen(history: Sequence[DeclinedAttempt], scheme: str | None, amount: Money, now: datetime) -> Seen:
    """Returns what of a card's history its budget depends on."""
    past = {one.operation_id: one for one in history if one.declined_at <= now}
    declines = sorted(past.values(), key=lambda one: (one.declined_at, one.operation_id))
    # An attempt whose card was described better than this one's names the scheme for all of them.
    known = scheme or next((one.scheme for one in reversed(declines) if one.scheme is not None), None)
    rules = rules_of(known)
    # A stolen card is stolen whatever the amount; what the schemes count, they count by it.
    counted = [one.declined_at for one in declines if one.amount == amount]
    in_day = [at for at in counted if now - at < DAY]
    in_month = [at for at in counted if now - at < MONTH]
    return Seen(
        scheme=known,
        in_day=len(in_day),
        in_month=len(in_month),
        never=next((found for one in declines if (found := _forbids(one, rules)) is not None), None),
        free_at_day=_free_at(in_day, rules.in_day, DAY),
        free_at_month=_free_at(in_month, rules.in_month, MONTH),
    )


def rules_of(scheme: str | None) -> SchemeRules:
    """Returns a scheme's rules, or the strictest where it has none."""
    return STRICTEST if scheme is None else RULES.get(scheme, STRICTEST)


def judge(shown: Seen) -> Spent | None:
    """Returns why no attempt may follow, from what was seen alone."""
    rules, who = rules_of(shown.scheme), shown.scheme or "the card's scheme, which is not known,"
    if shown.never is not None:
        kind, code, at = shown.never
        words = "declined" if kind == "code" else "advised against another attempt at"
        detail = f"the issuer {words} this card on {at:%Y-%m-%d} with {code}: {who} allows no other attempt"
        return Spent("retry_forbidden", detail, shown)
    if rules.in_day is not None and shown.in_day >= rules.in_day:
        return _spent(shown, f"{shown.in_day} declines", "24 hours", who, shown.free_at_day)
    if rules.in_month is not None and shown.in_month >= rules.in_month:
        return _spent(shown, f"{shown.in_month} declines", "30 days", who, shown.free_at_month)
    return None


def _spent(shown: Seen, declines: str, within: str, who: str, until: datetime | None) -> Spent:
    when = "" if until is None else f" before {until:%Y-%m-%dT%H:%M:%SZ}"
    detail = f"{declines} of this card and amount within {within}: {who} allows no other{when}"
    return Spent("retry_budget_spent", detail, shown, until)


def _forbids(
    one: DeclinedAttempt, rules: SchemeRules
) -> tuple[Literal["code", "advice"], str, datetime] | None:
    if one.issuer_code is not None and one.issuer_code in rules.never_after:
        return "code", one.issuer_code, one.declined_at
    if one.issuer_advice is not None and one.issuer_advice in rules.never_advised:
        return "advice", one.issuer_advice, one.declined_at
    return None


def _free_at(declined_at: Sequence[datetime], allowed: int | None, window: timedelta) -> datetime | None:
    """Returns when so many declines have left the window that fewer than `allowed` are in it. None: fewer
    are."""
    if allowed is None or len(declined_at) < allowed:
        return None
    return declined_at[len(declined_at) - allowed] + window
