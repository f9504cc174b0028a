import psycopg
import pytest

from aggregates.routing.experiment import ArmResults
from aggregates.routing.sequential import Sums
from projections import experiments
from tests.support.event_stories import read_models_connection

_NAMES = (
    "merchant_id, experiment_id, definition, policy_version, arm, assigned, approved, declined, failed, priced, "
    "cost_ppm, latency_ms, latencies, customers, decided_customers, first_approved, first_not_approved, "
    "priced_customers, decided_squares, decided_approved, approved_squares, priced_squares, priced_cost, cost_squares"
)


@pytest.mark.stack
async def test_the_versions_of_one_definition_add_up_and_nothing_else_does(database):
    counts = list(range(10, 29))
    with psycopg.connect(database.dsn()) as conn:
        for key in (
            ("shop", "x", "d1", 3, "a"),
            ("shop", "x", "d1", 4, "a"),
            ("shop", "x", "d2", 5, "a"),
            ("shop", "y", "d1", 3, "a"),
            ("other", "x", "d1", 3, "a"),
        ):
            values = ", ".join(["%s"] * (5 + len(counts)))
            conn.execute(
                f"INSERT INTO {database.schema}_read.experiment_arms ({_NAMES}) VALUES ({values})",
                (*key, *counts),
            )

    async with read_models_connection(database) as conn:
        found = await experiments.results(conn, "shop", "x", "d1")
        assert await experiments.counted_before(conn, "shop", "x", "d1") == 10
        assert await experiments.results(conn, "shop", "z", "d1") == {}

    twice = [2 * one for one in counts]
    assert found == {
        "a": ArmResults(
            assigned=20,
            approved=22,
            declined=24,
            failed=26,
            customers=twice[8],
            approval=Sums(groups=twice[9], n=72, y=22, nn=twice[13], ny=twice[14], yy=twice[15]),
            first_approved=twice[10],
            first_not_approved=twice[11],
            cost_ppm=Sums(groups=twice[12], n=twice[4], y=twice[5], nn=twice[16], ny=twice[17], yy=twice[18]),
            latency_ms=twice[6],
            latencies=twice[7],
        )
    }
