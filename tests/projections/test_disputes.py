from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest

from aggregates import disputes as rules
from aggregates import outcomes
from projections import batch, disputes
from tests.support.builders import NOW, ROUTE, cause, operation_of, report, word
from tests.support.event_stories import event_of, read_models_connection, requested, stored

pytestmark = pytest.mark.stack


def disputed(state, *, key, days=None):
    made = requested(idempotency_key=key)
    outcomes.take(made, report(operation_of(made)), ROUTE, cause(NOW, uuid4()))
    until = None if days is None else (NOW + timedelta(days=days)).isoformat()
    notice = word(made, state, 500, dispute_id=f"dp_{key}", respond_by=until)
    rules.take(made, notice, cause(NOW, uuid4()))
    return made


async def test_open_disputes_are_listed_the_one_due_soonest_first(database):
    kinds = {"opened": 9, "inquiry": 2, "unclear": None, "won": 1, "lost": 1, "closed": 1}
    made = {state: disputed(state, key=state, days=days) for state, days in kinds.items()}
    async with read_models_connection(database) as conn:
        events = [event_of(one) for payment in made.values() for one in stored(payment)]
        await batch.apply(conn, events, {}, NOW)

    async with await psycopg.AsyncConnection.connect(
        database.dsn("audit"),
        autocommit=True,
        options=f"-c search_path={database.schema},{database.schema}_read",
    ) as conn:
        listed = await disputes.open_disputes(conn, 10)
        first = await disputes.open_disputes(conn, 1)

    assert [one.state for one in listed] == ["inquiry", "opened", "unclear"]
    assert first == listed[:1]
    assert listed[0].payment_id == made["inquiry"].id
    assert (listed[0].dispute_id, listed[0].amount_minor, listed[0].account) == ("dp_inquiry", 500, "sim-eu")
