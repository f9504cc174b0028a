"""Whose operation a PSP's notice is about. Invariant: an account is heard about its own operations only."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

from psycopg import AsyncConnection

from aggregates.operation import payment_id_of
from gateways.contract import Notice

Missing = Literal["no_payment", "no_way", "other_account"]
"""`no_payment`: it may come yet, the answer of a call may be slower than a webhook. `no_way`: it names nothing of ours.
`other_account`: its operation ran at another account."""

# A payment's started events: an operation is one before its PSP hears of it, and the account in it never changes.
_STARTED: Final = """
SELECT state ->> 'operation_id', state ->> 'gateway', state ->> 'account' FROM (
    SELECT convert_from(state, 'UTF8')::jsonb AS state FROM payment_events
    WHERE originator_id = ANY(%s) AND topic = 'operation.started.v1'
) started
"""
_BY_PSP_ID: Final = """
SELECT account, psp_id, payment_id, operation_id
FROM gateway_ids JOIN unnest(%s::text[], %s::text[]) AS told (account, psp_id) USING (account, psp_id)
"""


@dataclass(frozen=True, slots=True)
class Told:
    """A row of webhooks_in."""

    id: int
    gateway: str
    account: str
    event_id: str
    received_at: datetime
    notice: Notice
    tries: int
    last_try: bool


@dataclass(frozen=True, slots=True)
class Subject:
    payment_id: UUID
    operation_id: str


async def subjects(conn: AsyncConnection[Any], told: Sequence[Told]) -> list[Subject | Missing]:
    """Of each, in their order."""
    started = await _started(conn, [one.notice.reference for one in told])
    known = await _by_psp_id(conn, [one for one in told if one.notice.psp_id is not None])
    return [_subject(one, started, known) for one in told]


def _subject(
    told: Told, started: dict[str, tuple[str, str]], known: dict[tuple[str, str], Subject]
) -> Subject | Missing:
    reference, psp_id = told.notice.reference, told.notice.psp_id
    if reference is not None and reference in started:
        if started[reference] != (told.gateway, told.account):
            return "other_account"
        return Subject(payment_id_of(reference), reference)
    if psp_id is not None:
        return known.get((told.account, psp_id), "no_payment")
    return "no_way" if _payment(reference) is None else "no_payment"


async def _started(
    conn: AsyncConnection[Any], references: Iterable[str | None]
) -> dict[str, tuple[str, str]]:
    """Gateway and account of each operation of the payments that are named."""
    payments = sorted({payment for one in references if (payment := _payment(one)) is not None})
    if not payments:
        return {}
    rows = await (await conn.execute(_STARTED, (payments,), prepare=True)).fetchall()
    return {operation: (gateway, account) for operation, gateway, account in rows}


async def _by_psp_id(conn: AsyncConnection[Any], told: Sequence[Told]) -> dict[tuple[str, str], Subject]:
    if not told:
        return {}
    names = ([one.account for one in told], [one.notice.psp_id for one in told])
    rows = await (await conn.execute(_BY_PSP_ID, names, prepare=True)).fetchall()
    return {(account, psp_id): Subject(payment, operation) for account, psp_id, payment, operation in rows}


def _payment(reference: str | None) -> UUID | None:
    try:
        return None if reference is None else payment_id_of(reference)
    except ValueError:
        return None
