"""Finds the operation that a PSP's notice is about. Invariant: an account's notices touch only that
account's operations."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

from psycopg import AsyncConnection

from aggregates.operation import payment_id_of
from commands.notices import Notice
from commands.sql import statements

Missing = Literal["no_payment", "no_way", "other_account"]
"""`no_payment`: it may come yet, since a call's response may be slower than a webhook. `no_way`: it names
nothing of ours. `other_account`: its operation ran at another account."""

_SQL: Final = statements(__file__)
_STARTED: Final = _SQL["started"]
_BY_PSP_ID: Final = _SQL["by_psp_id"]


@dataclass(frozen=True, slots=True)
class ReceivedNotice:
    """A row of webhooks_in. `tries`: without a match so far. `last_try`: three days are over. `unmatched`:
    an operator was called before. `signed_before`: another row has the same `Notice.signed_as` and came
    before it."""

    id: int
    gateway: str
    account: str
    event_id: str
    received_at: datetime
    notice: Notice
    tries: int
    signed_before: bool
    last_try: bool
    unmatched: bool


@dataclass(frozen=True, slots=True)
class Subject:
    """The operation, and its payment, that a notice is about."""

    payment_id: UUID
    operation_id: str


async def subjects(conn: AsyncConnection[Any], received: Sequence[ReceivedNotice]) -> list[Subject | Missing]:
    """Returns the operation that each notice is about, or why there is none, in their order."""
    started = await _started(conn, [one.notice.reference for one in received])
    known = await _by_psp_id(conn, [one for one in received if one.notice.psp_id is not None])
    return [_subject(one, started, known) for one in received]


def _subject(
    received: ReceivedNotice, started: dict[str, tuple[str, str]], known: dict[tuple[str, str], Subject]
) -> Subject | Missing:
    reference, psp_id = received.notice.reference, received.notice.psp_id
    # Our own reference comes first: it is in the request, while an id of the PSP is known only after the
    # response.
    if reference is not None and reference in started:
        # Whoever holds the key of one account could else settle operations of another, by naming their
        # references.
        if started[reference] != (received.gateway, received.account):
            return "other_account"
        return Subject(payment_id_of(reference), reference)
    # Ids hold within an account: two PSPs, or two accounts of one, may use the same one.
    if psp_id is not None:
        return known.get((received.account, psp_id), "no_payment")
    return "no_way" if _payment(reference) is None else "no_payment"


async def _started(
    conn: AsyncConnection[Any], references: Iterable[str | None]
) -> dict[str, tuple[str, str]]:
    """Returns gateway and account, by operation id, of every operation of the payments that are named."""
    payments = sorted({payment for one in references if (payment := _payment(one)) is not None})
    if not payments:
        return {}
    rows = await (await conn.execute(_STARTED, (payments,), prepare=True)).fetchall()
    return {operation: (gateway, account) for operation, gateway, account in rows}


async def _by_psp_id(
    conn: AsyncConnection[Any], received: Sequence[ReceivedNotice]
) -> dict[tuple[str, str], Subject]:
    if not received:
        return {}
    names = ([one.account for one in received], [one.notice.psp_id for one in received])
    rows = await (await conn.execute(_BY_PSP_ID, names, prepare=True)).fetchall()
    return {(account, psp_id): Subject(payment, operation) for account, psp_id, payment, operation in rows}


def _payment(reference: str | None) -> UUID | None:
    try:
        return None if reference is None else payment_id_of(reference)
    except ValueError:
        return None
