"""Carries out a plan: a stack of its own, orders, faults, and the verdict on all of it."""

import asyncio
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from infra.tools.audit.verify import Verdict, verify
from infra.tools.chaos import faults
from infra.tools.chaos.faults import Fault
from infra.tools.chaos.injection import inject
from infra.tools.chaos.load import Load
from infra.tools.chaos.plan import ChaosPlan
from infra.tools.chaos.recovery import Recovery, RecoveryWork, medians, recovery
from infra.tools.chaos.testbed import FaultNotInjected, Testbed
from infra.tools.traffic.chaos_orders import ONE_IN_BY_HTTP, Sale, shop_of
from infra.tools.traffic.orders import run_name

_TAKEN_WITHIN_S: Final = 120.0
_TURN_WITHIN_S: Final = 30.0


@dataclass(slots=True)
class InjectedFault:
    """The end of one fault. `at_s` and `over_s` count from the first payment. `missed`: why it did not
    happen, or did not end."""

    fault: Fault
    at_s: float
    over_s: float | None = None
    detail: dict[str, Any] = field(default_factory=dict)
    missed: str | None = None
    recovery: Recovery | None = None

    def as_json(self) -> dict[str, Any]:
        """Returns the fault's fields, when it was planned and happened (seconds), and how long its effect
        was felt."""
        content = self.fault.model_dump(mode="json") | {"planned_at_s": self.fault.at_s}
        content |= {"at_s": round(self.at_s, 2), "over_s": self.over_s and round(self.over_s, 2)}
        if self.recovery is not None:
            content["recovery_s"] = {
                "rate_back_s": self.recovery.rate_back_s,
                "nothing_overdue_s": self.recovery.nothing_overdue_s,
            }
        return content | {"detail": self.detail, "missed": self.missed}


@dataclass(slots=True)
class Chaos:
    """The result of a run: every fault, the verdict, and the orders. `not_taken`: orders that AegisPay
    never acknowledged."""

    plan: ChaosPlan
    injected: list[InjectedFault]
    verdict: Verdict
    restarts: dict[str, int]
    sales: list[Sale]
    not_taken: int
    seconds: float

    @property
    def ok(self) -> bool:
        """True if the verdict is clean, nothing is in flight, and every order was accepted or refused for
        a known reason."""
        settled = self.verdict.ok and self.verdict.settled_s is not None
        return settled and not self.not_taken and all(one["explained"] for one in self.refused)

    @property
    def missed(self) -> list[InjectedFault]:
        """The faults that did not happen, or did not end."""
        return [one for one in self.injected if one.missed is not None]

    @property
    def still_in_doubt(self) -> list[dict[str, str]]:
        """The payments whose outcome is unknown at the end, with the reasons."""
        return [
            {"payment_id": name, "reason": "; ".join(reasons)}
            for name, reasons in self.verdict.found["in_doubt"].items()
        ]

    @property
    def refused(self) -> list[dict[str, Any]]:
        """Every command that the shop sent after a payment first settled and that was refused.
        `explained`: the payment itself had not succeeded, or is in doubt."""
        return [
            {
                "payment_id": str(sale.name),
                "what": refusal.what,
                "code": refusal.code,
                "explained": not sale.went_well or str(sale.name) in self.verdict.found["in_doubt"],
            }
            for sale in self.sales
            for refusal in sale.refused
        ]

    def as_json(self) -> dict[str, Any]:
        """Returns the verdict's fields and what was done to the stack. Times are in seconds."""
        return self.verdict.as_json() | {
            "ok": self.ok,
            "seed": self.plan.seed,
            "faults": [one.as_json() for one in self.injected],
            "faults_missed": len(self.missed),
            "recovery_s": medians(
                (_hit_by(one.fault), one.recovery) for one in self.injected if one.recovery is not None
            ),
            "still_in_doubt": self.still_in_doubt,
            "refused": self.refused,
            "until_settled_s": _until_settled(self.sales),
            "not_taken": self.not_taken,
            "ended_otherwise": sorted(
                f"{sale.order.idempotency_key} ({sale.course}, {sale.order.payment_method}): {sale.ended}"
                for sale in self.sales
                if not sale.as_its_token_says
            ),
            "restarts": self.restarts,
            "seconds": round(self.seconds, 3),
            "plan": self.plan.model_dump(mode="json", exclude={"faults"}),
        }


async def run_chaos(
    plan: ChaosPlan, folder: Path, say: Callable[[str], None], taken: Callable[[int], None] = lambda _: None
) -> Chaos:
    """Runs the plan in `folder`, which is empty. `say` receives progress; `taken` receives the number of
    accepted orders."""
    began = time.monotonic()
    wanted = shop_of(plan.seed, plan.payments, plan.rate, plan.conditions, f"chaos-{run_name()}")
    async with (
        Testbed(plan, folder, say) as testbed,
        Load(testbed.state, timedelta(seconds=plan.expires_s), plan.seed) as load,
        asyncio.TaskGroup() as tasks,
    ):
        first_s = time.monotonic()
        give_up_s = first_s + wanted[-1].arrives_s + _TURN_WITHIN_S
        running = [
            tasks.create_task(_one(fault, testbed, (first_s, give_up_s), say)) for fault in plan.faults
        ]
        shopping = tasks.create_task(load.run(wanted, taken))
        injected = [await task for task in running]
        await asyncio.wait({shopping}, timeout=wanted[-1].arrives_s + _TAKEN_WITHIN_S)
        shopping.cancel()
        await testbed.all_up()
        say("Everything is up again: waiting for what is in flight")
        verdict = await verify(testbed.settings, plan.settle_s)
        restarts = testbed.restarts()
    _measure(injected, load.sales, plan.rate, first_s)
    not_taken = sum(1 for sale in load.sales if sale.taken_s is None) + plan.payments - len(load.sales)
    seconds = time.monotonic() - began
    return Chaos(plan, injected, verdict, restarts, load.sales, not_taken, seconds)


async def _one(
    fault: Fault, testbed: Testbed, between_s: tuple[float, float], say: Callable[[str], None]
) -> InjectedFault:
    first_s, give_up_s = between_s
    await asyncio.sleep(max(0.0, first_s + fault.at_s - time.monotonic()))
    injected = InjectedFault(fault, time.monotonic() - first_s)
    waits = isinstance(fault, faults.CrashPoint | faults.CutCommit)
    say(f"{injected.at_s:7.1f} s  {faults.title(fault)}{' (waits for its turn)' if waits else ''}")
    try:
        async with asyncio.timeout_at(give_up_s if waits else None):
            injected.detail = await inject(fault, testbed)
    except FaultNotInjected as error:
        injected.missed = str(error)
    except TimeoutError:
        injected.missed = "its turn never came"
    injected.over_s = time.monotonic() - first_s
    if waits:
        # It came when its turn did.
        injected.at_s = max(injected.at_s, injected.over_s - faults.lasts_s(fault))
    outcome = f"did not happen: {injected.missed}" if injected.missed else "over"
    say(f"{injected.over_s:7.1f} s  {faults.title(fault)}: {outcome}")
    return injected


def _measure(injected: list[InjectedFault], sales: list[Sale], rate: float, first_s: float) -> None:
    until_s = max((max(s.due_s, s.settled_s or 0.0, s.shown_s or 0.0) for s in sales), default=first_s)
    calm = [sale for sale in sales if sale.calm]
    calm_rate = rate * len(calm) / max(len(sales), 1)
    settled = [RecoveryWork(sale.due_s, sale.settled_s) for sale in calm]
    shown = [RecoveryWork(sale.settled_s, sale.shown_s) for sale in sales if sale.settled_s is not None]
    taken = [RecoveryWork(sale.due_s, sale.taken_s) for sale in sales if sale.by_http]
    for one in injected:
        if one.missed is not None:
            continue
        match _hit_by(one.fault):
            case "read-models":
                works, of_rate = shown, rate
            case "api":
                works, of_rate = taken, rate / ONE_IN_BY_HTTP
            case _:
                works, of_rate = settled, calm_rate
        one.recovery = recovery(works, of_rate, first_s + one.at_s, until_s)


def _hit_by(fault: Fault) -> str:
    """Returns the kind of process that the fault hits, or the fault's name where it hits none."""
    match fault:
        case faults.Kill() | faults.Stop() | faults.Pause() | faults.CutCommit() | faults.Clock():
            return faults.kind_of(fault.process)
        case faults.CrashPoint():
            return faults.kind_of(fault.where)
        case _:
            return fault.fault


def _until_settled(sales: list[Sale]) -> dict[str, dict[str, float | int]]:
    """Returns the time from when an order was due until it first settled, by payment token: what a lost
    response costs, for one."""
    by_token: dict[str, list[float]] = {}
    for sale in sales:
        if sale.settled_s is not None:
            by_token.setdefault(sale.order.payment_method, []).append(sale.settled_s - sale.due_s)
    return {
        token: {
            "count": len(seconds),
            "median": round(statistics.median(seconds), 3),
            "max": round(max(seconds), 3),
        }
        for token, seconds in sorted(by_token.items())
    }
