"""Compares the conditions of rules as the sets of payments that they hold for.

Invariant: what these functions claim is true of every payment; where they cannot tell, they claim nothing.
`covers` may be False of a pair that it does not see through, and so may `meet` be None.
"""

from collections.abc import Iterable, Mapping
from datetime import time
from functools import cache
from typing import Any, Final

from aggregates.routing.facts import region_of
from aggregates.routing.policy import AmountRange, Conditions, TimeOfDay

_REGIONS: Final = frozenset({"eea", "gb", "us", "in", "other", "unknown"})
_DAY_US: Final = 24 * 3600 * 1_000_000
# A span of amounts in minor units or of times in µs, the end excluded; an end of None: without an end.
_Span = tuple[int, int | None]
_LISTS: Final = ("method", "country", "card_country", "scheme", "customer", "attempt")

ANY: Final = Conditions()
"""Holds for every payment."""


def covers(wide: Conditions, narrow: Conditions) -> bool:
    """True if `wide` holds for every payment for which `narrow` does."""
    return (
        all(_lists_cover(getattr(wide, name), getattr(narrow, name)) for name in _LISTS)
        and _money_covers(_money(wide), _money(narrow))
        and (wide.region is None or _regions(narrow) <= set(wide.region))
        and _bins_cover(wide.bin, narrow.bin)
        and (wide.metadata is None or wide.metadata.items() <= (narrow.metadata or {}).items())
        and _times_cover(wide.time, narrow.time)
    )


def never_holds(conditions: Conditions) -> str | None:
    """Returns the field whose conditions no payment fulfils, with the reason; None: a payment may fulfil all
    of them."""
    money = _money(conditions)
    if money is not None and not any(money.values()):
        return (
            "amount: none of its ranges has an amount in it"
            if _money(Conditions.model_construct(amount=conditions.amount)) == {}
            else "amount: its ranges are of other currencies than currency names"
        )
    if not _regions(conditions):
        return "region: no card of card_country, and no customer of country, is of it"
    if conditions.time is not None and not _spans(conditions.time):
        return "time: since and until are the same, so the window is empty"
    return None


def meet(one: Conditions, other: Conditions) -> Conditions | None:
    """Returns conditions that hold only where both do, and for some payment. None: there is no such payment,
    or none that can be named."""
    found: dict[str, Any] = {}
    for name in _LISTS:
        found[name] = _both(getattr(one, name), getattr(other, name))
    found["region"] = _both(one.region, other.region)
    found["bin"] = _bins_of_both(one.bin, other.bin)
    if [] in found.values():
        return None
    known = dict(one.metadata or {})
    if any(known.setdefault(key, value) != value for key, value in (other.metadata or {}).items()):
        return None
    if one.time is not None and other.time is not None and one.time != other.time:
        # The narrower of the two, where one holds the other: of two zones nothing is claimed.
        if not (_times_cover(one.time, other.time) or _times_cover(other.time, one.time)):
            return None
        found["time"] = other.time if _times_cover(one.time, other.time) else one.time
    else:
        found["time"] = one.time or other.time
    amounts, money = _amounts_of_both(one, other)
    met = Conditions.model_construct(metadata=known or None, amount=amounts, currency=money, **found)
    return None if never_holds(met) is not None else met


def currencies(conditions: Conditions) -> frozenset[str] | None:
    """Returns the currencies of the payments for which the conditions may hold. None: of any."""
    money = _money(conditions)
    return None if money is None else frozenset(currency for currency, spans in money.items() if spans)


def _lists_cover(wide: list[Any] | None, narrow: list[Any] | None) -> bool:
    return wide is None or (narrow is not None and set(narrow) <= set(wide))


def _both(one: list[Any] | None, other: list[Any] | None) -> list[Any] | None:
    if one is None or other is None:
        return one if other is None else other
    return [value for value in one if value in other]


def _money(conditions: Conditions) -> dict[str, list[_Span]] | None:
    """The amounts by currency. None: any amount of any currency."""
    if conditions.amount is None and conditions.currency is None:
        return None
    if conditions.amount is None:
        return {currency: [(0, None)] for currency in conditions.currency or ()}
    spans: dict[str, list[_Span]] = {}
    for one in conditions.amount:
        if (conditions.currency is None or one.currency in conditions.currency) and (
            one.below is None or one.min < one.below
        ):
            spans.setdefault(one.currency, []).append((one.min, one.below))
    return {currency: _merged(of) for currency, of in spans.items()}


def _money_covers(wide: Mapping[str, list[_Span]] | None, narrow: Mapping[str, list[_Span]] | None) -> bool:
    if wide is None:
        return True
    return narrow is not None and all(
        _span_covered(span, wide.get(currency, [])) for currency, of in narrow.items() for span in of
    )


def _amounts_of_both(one: Conditions, other: Conditions) -> tuple[list[AmountRange] | None, list[str] | None]:
    mine, its = _money(one), _money(other)
    if mine is None or its is None:
        plain = one if its is None else other
        return plain.amount, plain.currency
    found = [
        AmountRange.model_construct(currency=currency, min=begin, below=end)
        for currency in mine
        if currency in its
        for begin, end in _cut(mine[currency], its[currency])
    ]
    return found, None


def _cut(some: Iterable[_Span], others: Iterable[_Span]) -> list[_Span]:
    """Returns the spans that both have in common."""
    found = []
    for begin, end in some:
        for its_begin, its_end in others:
            last = its_end if end is None else end if its_end is None else min(end, its_end)
            first = max(begin, its_begin)
            if last is None or first < last:
                found.append((first, last))
    return found


def _merged(spans: Iterable[_Span]) -> list[_Span]:
    """Returns the same spans in order, those that touch as one."""
    found: list[_Span] = []
    for begin, end in sorted(spans, key=lambda span: span[0]):
        if found and (found[-1][1] is None or begin <= found[-1][1]):
            last = found[-1][1]
            found[-1] = (found[-1][0], None if last is None or end is None else max(last, end))
        else:
            found.append((begin, end))
    return found


def _span_covered(span: _Span, merged: Iterable[_Span]) -> bool:
    begin, end = span
    return any(
        first <= begin and (last is None or (end is not None and end <= last)) for first, last in merged
    )


def _regions(conditions: Conditions) -> set[str]:
    """The regions of the payments for which the conditions may hold: of the card's country, else of the
    customer's."""
    possible: set[str] = set(conditions.region) if conditions.region is not None else set(_REGIONS)
    if conditions.card_country is not None:
        return possible & {region_of(country) for country in conditions.card_country}
    if conditions.country is not None:
        # A card may be of any country, but with a customer's country the region is never unknown.
        return possible - {"unknown"}
    return possible


def _bins_cover(wide: list[str] | None, narrow: list[str] | None) -> bool:
    return wide is None or (
        narrow is not None and all(any(one.startswith(its) for its in wide) for one in narrow)
    )


def _bins_of_both(one: list[str] | None, other: list[str] | None) -> list[str] | None:
    if one is None or other is None:
        return one if other is None else other
    pairs = [(mine, its) for mine in one for its in other]
    return [
        max(pair, key=len) for pair in pairs if pair[0].startswith(pair[1]) or pair[1].startswith(pair[0])
    ]


def _times_cover(wide: TimeOfDay | None, narrow: TimeOfDay | None) -> bool:
    if wide is None:
        return True
    if narrow is None or narrow.zone != wide.zone or not set(narrow.days) <= set(wide.days):
        return False
    around = _spans(wide)
    return all(_span_covered(span, around) for span in _spans(narrow))


def _spans(window: TimeOfDay) -> list[_Span]:
    """The window's times of one day, in µs since midnight: one that passes midnight has two."""
    since, until = _us(window.since), _us(window.until)
    if since < until:
        return [(since, until)]
    return (
        _merged(span for span in ((0, until), (since, _DAY_US)) if span[0] < span[1]) if until < since else []
    )


@cache
def _us(moment: time) -> int:
    return ((moment.hour * 60 + moment.minute) * 60 + moment.second) * 1_000_000 + moment.microsecond
