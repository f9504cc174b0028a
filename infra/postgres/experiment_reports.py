"""Finds an experiment of a merchant's routing policy, with what it shows."""

from collections.abc import Iterator
from typing import Any

import psycopg
from pydantic import ValidationError

from aggregates.routing.experiment_report import report
from aggregates.routing.policy import Experiment, Policy
from aggregates.routing.targets import strategies_of
from aggregates.routing_policy import RoutingPolicy
from infra.postgres import policy_store
from projections import experiments


async def find(
    conn: psycopg.AsyncConnection[Any], merchant_id: str, experiment_id: str
) -> dict[str, Any] | None:
    """Returns the report of an experiment as the active version has it, or else the newest version that was
    active: `policy_version` says which, `running` whether that is the active one. None: no version that was
    ever active has it."""
    policy = await policy_store.load(conn, merchant_id)
    if policy is None:
        return None
    for number, experiment in _newest_first(policy):
        if experiment.id != experiment_id:
            continue
        found = await experiments.results(conn, merchant_id, experiment.id, experiment.definition)
        before = await experiments.counted_before(conn, merchant_id, experiment.id, experiment.definition)
        stopped = policy.stopped.get(experiment.id, [])
        running = policy.active is not None and number == policy.active.number
        return report(experiment, found, stopped, before) | {"policy_version": number, "running": running}
    return None


def _newest_first(policy: RoutingPolicy) -> Iterator[tuple[int, Experiment]]:
    """Yields the experiments of the active version, and then those of the others that were active."""
    active = 0 if policy.active is None else policy.active.number
    former = sorted(
        (one.number for one in policy.versions.values() if one.activated_at is not None), reverse=True
    )
    for number in dict.fromkeys([active, *former] if active else former):
        try:
            document = Policy.model_validate(policy.versions[number].document)
        except ValidationError:
            continue  # of a release that wrote what this one does not read
        yield from ((number, one) for _, one in strategies_of(document) if isinstance(one, Experiment))
