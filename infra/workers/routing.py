"""The routing worker looks after what the merchants' policies promise: every 10 s it stops the arms of
experiments that do harm, and publishes what the accounts have charged, with the shares that volume
commitments need.

Payments do not depend on it: while it is away, an arm goes on, the price tiers keep the volumes that were
published last, and commitments bend nothing after an hour.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby
from operator import attrgetter
from typing import Any, Final

import psycopg
from aiokafka import AIOKafkaProducer
from prometheus_client import Counter, Gauge

from aggregates.decision import Refused
from aggregates.routing.commitments import ends, share_needed
from aggregates.routing.experiment import verdict
from aggregates.routing.experiment_report import why_stopped
from aggregates.routing.policy import Commitment, Experiment, Policy
from aggregates.routing.targets import strategies_of
from aggregates.routing_policy import By, read
from commands import policy_records
from commands.policy_records import PolicyRecord
from commands.volume_records import COUNT_MAX, CommitmentShare, MonthVolume, VolumeRecord, month_of
from infra.kafka import topics
from infra.kafka.compacted import CompactedTopic
from infra.kafka.producers import producing
from infra.postgres import connections, policy_store
from infra.process import clock
from infra.process.runtime import Process, run
from infra.settings import KafkaSettings, RoutingWorkerSettings
from infra.workers.startup import ready_to_start
from projections import experiments, volumes

_EVERY_S: Final = 10.0
# A record that has not changed is published again: its shares hold for an hour.
_AGAIN_AFTER_S: Final = 600.0
WHO: Final = "guardrail"
"""Who stopped an arm, as the policy's history names it."""

STOPPED = Counter("aegispay_routing_arms_stopped", "Arms of experiments that their guardrail stopped")
PUBLISHED = Counter("aegispay_routing_volumes", "Records of volumes that the broker acknowledged")
NOT_COMPUTED = Counter(
    "aegispay_routing_not_computed",
    "Merchants left out of a round: their policy cannot be computed",
    ["what"],
)
ROUND_AT = Gauge("aegispay_routing_round_timestamp_seconds", "When the last round ended")

Policies = Callable[[], Mapping[str, PolicyRecord]]


# What a forged policy or key makes of dates, figures and texts, here and in PostgreSQL. Anything else is a
# failure of ours or of a connection, and ends the process.
_NOT_COMPUTABLE: Final = (ArithmeticError, ValueError, psycopg.DataError)


def _left_out(log: Any, what: str, merchant_id: str, error: Exception) -> None:
    NOT_COMPUTED.labels(what).inc()
    # Not the error's text: pydantic's quotes the value.
    log.error("cannot be computed", what=what, merchant=merchant_id[:64], error=type(error).__name__)


def experiments_of(policy: Policy) -> Iterator[Experiment]:
    """Yields the experiments of a policy."""
    yield from (one for _, one in strategies_of(policy) if isinstance(one, Experiment))


class Guardrails:
    """Stops arms whose approval rate is shown to lie below the control's by more than the guardrail."""

    def __init__(self, conn: psycopg.AsyncConnection[Any], policies: Policies, log: Any) -> None:
        self._conn = conn
        self._policies = policies
        self._log = log

    async def run_once(self) -> int:
        """Looks at every experiment of an active policy; returns how many arms it stopped."""
        stopped = 0
        for merchant_id, record in self._policies().items():
            for experiment in experiments_of(record.document):
                known = record.stopped_arms.get(experiment.id, [])
                try:
                    stopped += await self._look(merchant_id, experiment, known)
                except _NOT_COMPUTABLE as error:
                    _left_out(self._log, "guardrail", merchant_id, error)
        return stopped

    async def _look(self, merchant_id: str, experiment: Experiment, stopped: list[str]) -> int:
        results = await experiments.results(self._conn, merchant_id, experiment.id, experiment.definition)
        judged = verdict(experiment, results, stopped)
        reasons = {
            arm: why_stopped(experiment, arm, results, judged.comparisons[arm])
            for arm in judged.stop
            if arm not in stopped
        }
        return await self._stop(merchant_id, experiment, reasons) if reasons else 0

    async def _stop(self, merchant_id: str, experiment: Experiment, reasons: Mapping[str, str]) -> int:
        # The topic may be behind: what is active, and what is stopped already, is read anew.
        policy = await policy_store.load_part(self._conn, merchant_id)
        if policy is None or policy.active is None:
            return 0
        try:
            active = [
                one.definition for one in experiments_of(read(policy.active)) if one.id == experiment.id
            ]
            new = [arm for arm in reasons if arm not in policy.stopped.get(experiment.id, [])]
            if active != [experiment.definition] or not new:
                return 0
            for arm in new:
                policy.stop_arm(experiment.id, arm, By(WHO, reasons[arm], clock.now()))
            await policy_store.save(self._conn, policy)
        except (Refused, policy_store.PolicyChanged) as error:
            # Somebody changes the policy at this moment, or it cannot be read: the next round looks again.
            self._log.warning("an arm is not stopped yet", merchant=merchant_id, error=type(error).__name__)
            return 0
        for arm in new:
            STOPPED.inc()
            self._log.error(
                "an arm is stopped",
                merchant=merchant_id,
                experiment=experiment.id,
                arm=arm,
                reason=reasons[arm],
            )
        return len(new)


class Volumes:
    """Publishes the merchants' volumes to `routing.volumes`."""

    def __init__(
        self,
        conn: psycopg.AsyncConnection[Any],
        policies: Policies,
        producer: AIOKafkaProducer,
        settings: KafkaSettings,
        *,
        are_whole: Callable[[], bool],
        log: Any,
    ) -> None:
        """`are_whole`: False while `policies` may lack some that there are."""
        self._conn = conn
        self._policies = policies
        self._are_whole = are_whole
        self._log = log
        self._producer = producer
        self._topic = settings.topic_prefix + topics.VOLUMES
        self._published: dict[str, VolumeRecord] = {}

    async def run_once(self) -> int:
        """Publishes the records that have changed or grow old; returns how many."""
        # A merchant whose policy is not read yet has no commitments: his shares would be replaced by none.
        if not self._are_whole():
            return 0
        now = clock.now()
        rows = await volumes.of_month(self._conn, now)
        charged = {merchant_id: tuple(of) for merchant_id, of in groupby(rows, attrgetter("merchant_id"))}
        policies = self._policies()
        committed = {name: record.document.commitments for name, record in policies.items()}
        wanted = charged.keys() | {name for name, ones in committed.items() if ones} | self._published.keys()
        sent: dict[str, VolumeRecord] = {}
        for merchant_id in sorted(wanted):
            try:
                shares = await self._shares(merchant_id, committed.get(merchant_id, ()))
                record = VolumeRecord(
                    merchant_id=merchant_id,
                    as_of=now,
                    month=month_of(now),
                    accounts=tuple(map(_volume, charged.get(merchant_id, ()))),
                    commitments=tuple(shares),
                )
            except _NOT_COMPUTABLE as error:
                _left_out(self._log, "volumes", merchant_id, error)
                continue
            if self._is_due(record):
                sent[merchant_id] = record
        await asyncio.gather(*(self._publish(record) for record in sent.values()))
        self._published |= sent
        PUBLISHED.inc(len(sent))
        return len(sent)

    def _is_due(self, record: VolumeRecord) -> bool:
        before = self._published.get(record.merchant_id)
        if before is None or (record.as_of - before.as_of).total_seconds() >= _AGAIN_AFTER_S:
            return True
        return record.model_copy(update={"as_of": before.as_of}) != before

    async def _shares(self, merchant_id: str, commitments: Iterable[Commitment]) -> list[CommitmentShare]:
        """Returns the shares. A commitment that cannot be computed bends nothing; the volumes are published
        without it, since the price tiers of all merchants at an account need them."""
        shares = []
        for commitment in commitments:
            try:
                shares.append(await self._share(merchant_id, commitment))
            except _NOT_COMPUTABLE as error:
                _left_out(self._log, "commitment", merchant_id, error)
        return shares

    async def _share(self, merchant_id: str, commitment: Commitment) -> CommitmentShare:
        now = clock.now()
        course = await volumes.course(self._conn, merchant_id, commitment, now)
        return CommitmentShare(
            account=commitment.account,
            currency=commitment.currency,
            done=_counted(course.done),
            target=commitment.payments or commitment.amount_minor or 0,
            # In steps of a thousandth: smaller ones are worth no record.
            share=round(share_needed(commitment, course, now), 3),
            until=ends(commitment),
        )

    async def _publish(self, record: VolumeRecord) -> None:
        await self._producer.send_and_wait(self._topic, record.dump(), key=record.merchant_id.encode())


def _volume(one: volumes.MonthVolume) -> MonthVolume:
    return MonthVolume(
        account=one.account,
        currency=one.currency,
        payments=_counted(one.payments),
        amount_minor=_counted(one.amount_minor),
    )


def _counted(number: int) -> int:
    return min(max(number, 0), COUNT_MAX)


async def main(process: Process, settings: RoutingWorkerSettings) -> None:
    """Runs until a stop signal comes. Raises PostgreSQL's and Kafka's errors."""
    if not await ready_to_start(process, settings):
        return
    policies = CompactedTopic(
        settings,
        topics.POLICIES,
        policy_records.read,
        key_of=lambda one: one.merchant_id,
        replaces=policy_records.replaces,
    )
    async with (
        policies,
        producing(settings, process.name) as producer,
        await connections.connect_async(settings, process.name) as conn,
    ):
        guardrails = Guardrails(conn, policies.now, process.log)
        published = Volumes(
            conn, policies.now, producer, settings, are_whole=lambda: policies.whole, log=process.log
        )
        process.ready()
        while not process.stop.is_set():
            await guardrails.run_once()
            await published.run_once()
            if policies.whole:
                ROUND_AT.set_to_current_time()
            await process.stopped_within(_EVERY_S)


if __name__ == "__main__":
    run("routing", RoutingWorkerSettings, main)
