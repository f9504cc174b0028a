"""Measures a running stack: payments on schedule, their latency and CPU, how far reads are behind, and the
verdict."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from infra.postgres.connections import connect, connect_async
from infra.tools.audit.verify import Verdict, VerifySettings, verify
from infra.tools.bench import cpu, machine
from infra.tools.bench.open_loop import Mix, OpenLoop, Run, prepared
from infra.tools.bench.quantiles import quantiles
from infra.tools.bench.read_model_lag import ReadModelLag
from infra.tools.local.state import StackState
from infra.tools.local.target import MERCHANT, of_stack
from infra.tools.traffic.orders import orders, run_name

_DRAIN_S: Final = 60.0
_SETTLE_S: Final = 120.0
_WARM_UP_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class Bench:
    """The result of a measurement."""

    mix: Mix
    rate: float
    seconds: float
    run: Run
    simulator_latency_ms: float
    cpu_ms_per_payment: dict[str, float]
    lag: ReadModelLag
    verdict: Verdict
    machine: dict[str, str | int | float]

    @property
    def ok(self) -> bool:
        """True if the verdict is clean and every payment has settled."""
        return self.verdict.ok and not self.run.unsettled

    def as_json(self) -> dict[str, Any]:
        """Returns the figures. Times are in milliseconds, from when a payment was due until its end was
        read from Kafka; for the mix `life`, the end of its last step. The simulator's own latency is that
        of one call."""
        run = self.run
        settled = len(run.latencies_ms)
        return {
            "ok": self.ok,
            "mix": self.mix,
            "offered_rate": round(run.offered / run.offered_s, 2),
            "achieved_rate": round(settled / max(run.settled_s, run.offered_s), 2),
            "seconds": self.seconds,
            "payments": run.offered,
            "settled": settled,
            "unsettled": len(run.unsettled),
            "by_status": dict(sorted(run.by_status.items())),
            "latency_ms": quantiles(run.latencies_ms),
            "added_latency_ms": quantiles(self._added_ms()),
            "simulator_latency_ms": self.simulator_latency_ms,
            "steps_ms": {step: quantiles(times) for step, times in run.steps_ms.items()},
            "cpu_ms_per_payment": self.cpu_ms_per_payment,
            "load_generator_cpu_ms_per_payment": round(run.own_cpu_s * 1000 / max(settled, 1), 3),
            "sent_late": run.late,
            "read_model_lag_ms": quantiles(self.lag.samples_ms) | {"gave_up": self.lag.gave_up},
            "verdict": self.verdict.as_json(),
            "machine": self.machine,
        }

    def _added_ms(self) -> Iterable[float]:
        """Yields the latency beyond the simulator's, of sales only: a life makes several calls, and each
        step has figures of its own."""
        if self.mix == "sale":
            yield from (ms - self.simulator_latency_ms for ms in self.run.latencies_ms)


async def run_bench(
    stack: StackState,
    *,
    rate: float,
    seconds: float,
    seed: int,
    settled: Callable[[int], None],
    mix: Mix = "sale",
) -> Bench:
    """Warms up briefly without counting, measures, then verifies. `settled` receives how many payments
    have settled."""
    settings = of_stack(VerifySettings, stack, "audit")
    name = f"bench-{run_name()}"
    processes = {process.name: process.pid for process in stack.processes}
    async with await connect_async(settings, "audit") as audit:
        warm = orders(
            seed=seed + 1, count=int(rate * _WARM_UP_S), rate=rate, run=f"{name}-warm", conditions="calm"
        )
        lag = ReadModelLag(audit)
        await OpenLoop(settings, lag.settled, lambda _: None).run(
            prepared(list(warm), MERCHANT, timedelta(minutes=10), mix), _DRAIN_S
        )
        await lag.finish()
        lag = ReadModelLag(audit)
        paid = orders(seed=seed, count=round(rate * seconds), rate=rate, run=name, conditions="calm")
        dues = prepared(list(paid), MERCHANT, timedelta(seconds=seconds + 2 * _DRAIN_S), mix)
        before = cpu.used_s(processes)
        run = await OpenLoop(settings, lag.settled, settled).run(dues, _DRAIN_S)
        after = cpu.used_s(processes)
        await lag.finish()
    with connect(settings, "audit") as connection:
        described = machine.describe(connection)
    return Bench(
        mix=mix,
        rate=rate,
        seconds=seconds,
        run=run,
        simulator_latency_ms=stack.simulator_latency_ms,
        cpu_ms_per_payment=cpu.per_payment_ms(before, after, len(run.latencies_ms)),
        lag=lag,
        verdict=await verify(settings, _SETTLE_S),
        machine=described,
    )
