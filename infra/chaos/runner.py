"""A plan carried out: a stack of its own, orders, faults, and the verdict on all of it."""

import asyncio
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from infra.chaos import faults
from infra.chaos.arena import Arena, NotDone
from infra.chaos.faults import Fault
from infra.chaos.load import Load
from infra.chaos.plan import Plan
from infra.chaos.recovery import Recovery, Work, medians, recovery
from infra.chaos.shop import ONE_IN_BY_HTTP, Sale, shop_of
from infra.chaos.strike import strike
from infra.shop import run_name
from infra.verify import Verdict, verify

_TAKEN_WITHIN_S: Final = 120.0
_TURN_WITHIN_S: Final = 30.0


@dataclass(slots=True)
class Struck:
    """`at_s` and `over_s` count from the first payment. `missed`: why it did not happen, or did not end."""

    fault: Fault
    at_s: float
    over_s: float | None = None
    detail: dict[str, Any] = field(default_factory=dict)
    missed: str | None = None
    recovery: Recovery | None = None

    def as_json(self) -> dict[str, Any]:
        content = self.fault.model_dump(mode="json") | {"planned_at_s": self.fault.at_s}
        content |= {"at_s": round(self.at_s, 2), "over_s": self.over_s and round(self.over_s, 2)}
        if self.recovery is not None:
            content["recovery_s"] = {
                "rate_back": self.recovery.rate_back_s,
                "nothing_overdue": self.recovery.nothing_overdue_s,
            }
        return content | {"detail": self.detail, "missed": self.missed}


@dataclass(slots=True)
class Chaos:
    plan: Plan
    struck: list[Struck]
    verdict: Verdict
    restarts: dict[str, int]
    sales: list[Sale]
    not_taken: int
    seconds: float

    @property
    def ok(self) -> bool:
        settled = self.verdict.ok and self.verdict.settled_s is not None
        return settled and not self.not_taken and all(one["explained"] for one in self.refused)

    @property
    def missed(self) -> list[Struck]:
        return [one for one in self.struck if one.missed is not None]

    @property
    def still_in_doubt(self) -> list[dict[str, str]]:
        return [
            {"payment_id": name, "reason": "; ".join(whys)}
            for name, whys in self.verdict.found["in_doubt"].items()
        ]

    @property
    def refused(self) -> list[dict[str, Any]]:
        """What the shop asked for after the first rest, and was not given. `explained`: its payment had not gone well,
        or is in doubt."""
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
        """The verdict's fields, and what was done to the stack."""
        return self.verdict.as_json() | {
            "ok": self.ok,
            "seed": self.plan.seed,
            "faults": [one.as_json() for one in self.struck],
            "faults_missed": len(self.missed),
            "recovery_s": medians(
                (_struck_what(one.fault), one.recovery) for one in self.struck if one.recovery is not None
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
    plan: Plan, folder: Path, say: Callable[[str], None], taken: Callable[[int], None] = lambda _: None
) -> Chaos:
    """In `folder`, which is empty. `say` is told what happens; `taken`, how many orders are."""
    began = time.monotonic()
    wanted = shop_of(plan.seed, plan.payments, plan.rate, plan.weather, f"chaos-{run_name()}")
    async with (
        Arena(plan, folder, say) as arena,
        Load(arena.state, timedelta(seconds=plan.expires_s), plan.seed) as load,
        asyncio.TaskGroup() as tasks,
    ):
        first_s = time.monotonic()
        give_up_s = first_s + wanted[-1].arrives_s + _TURN_WITHIN_S
        running = [tasks.create_task(_one(fault, arena, (first_s, give_up_s), say)) for fault in plan.faults]
        shopping = tasks.create_task(load.run(wanted, taken))
        struck = [await task for task in running]
        await asyncio.wait({shopping}, timeout=wanted[-1].arrives_s + _TAKEN_WITHIN_S)
        shopping.cancel()
        await arena.all_up()
        say("Everything is up again: waiting for what is in flight")
        verdict = await verify(arena.settings, plan.settle_s)
        restarts = arena.restarts()
    _measure(struck, load.sales, plan.rate, first_s)
    not_taken = sum(1 for sale in load.sales if sale.taken_s is None) + plan.payments - len(load.sales)
    seconds = time.monotonic() - began
    return Chaos(plan, struck, verdict, restarts, load.sales, not_taken, seconds)


async def _one(
    fault: Fault, arena: Arena, between_s: tuple[float, float], say: Callable[[str], None]
) -> Struck:
    first_s, give_up_s = between_s
    await asyncio.sleep(max(0.0, first_s + fault.at_s - time.monotonic()))
    struck = Struck(fault, time.monotonic() - first_s)
    waits = isinstance(fault, faults.CrashPoint | faults.CutCommit)
    say(f"{struck.at_s:7.1f} s  {faults.title(fault)}{' (waits for its turn)' if waits else ''}")
    try:
        async with asyncio.timeout_at(give_up_s if waits else None):
            struck.detail = await strike(fault, arena)
    except NotDone as why:
        struck.missed = str(why)
    except TimeoutError:
        struck.missed = "its turn never came"
    struck.over_s = time.monotonic() - first_s
    if waits:
        # It came when its turn did.
        struck.at_s = max(struck.at_s, struck.over_s - faults.lasts_s(fault))
    told = f"did not happen: {struck.missed}" if struck.missed else "over"
    say(f"{struck.over_s:7.1f} s  {faults.title(fault)}: {told}")
    return struck


def _measure(struck: list[Struck], sales: list[Sale], rate: float, first_s: float) -> None:
    until_s = max((max(s.due_s, s.settled_s or 0.0, s.shown_s or 0.0) for s in sales), default=first_s)
    calm = [sale for sale in sales if sale.calm]
    calm_rate = rate * len(calm) / max(len(sales), 1)
    settled = [Work(sale.due_s, sale.settled_s) for sale in calm]
    shown = [Work(sale.settled_s, sale.shown_s) for sale in sales if sale.settled_s is not None]
    taken = [Work(sale.due_s, sale.taken_s) for sale in sales if sale.by_http]
    for one in struck:
        if one.missed is not None:
            continue
        match _struck_what(one.fault).partition("-")[0]:
            case "views":
                works, of_rate = shown, rate
            case "api":
                works, of_rate = taken, rate / ONE_IN_BY_HTTP
            case _:
                works, of_rate = settled, calm_rate
        one.recovery = recovery(works, of_rate, first_s + one.at_s, until_s)


def _struck_what(fault: Fault) -> str:
    """The process by its kind; else the fault's name."""
    match fault:
        case faults.Kill() | faults.Stop() | faults.Pause() | faults.CutCommit() | faults.Clock():
            return fault.process.partition("-")[0]
        case faults.CrashPoint():
            return fault.where.partition("-")[0]
        case _:
            return fault.fault


def _until_settled(sales: list[Sale]) -> dict[str, dict[str, float | int]]:
    """From when an order was due to its first rest, by payment token: what a lost answer costs, for one."""
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
