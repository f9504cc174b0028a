"""What the PSPs kept is held against what was expected, and a difference is reported, and is no fault."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from aggregates import merchant_commands, outcomes
from aggregates.fees import FeeBook, FeeRule, FeeSchedule, Price
from aggregates.operation import OperationState
from aggregates.payment import Payment
from commands.ports import Writes
from gateways.simulator.core import rows
from gateways.simulator.core.fees import Fees, PriceList
from gateways.simulator.core.fees import Price as Kept
from gateways.simulator.core.ledger import Fee, Ledger, read_fees
from gateways.simulator.core.money import Currencies
from gateways.simulator.core.rows import Moved, Under
from infra.tools.audit.facts import Facts, Recorded
from infra.tools.audit.fees import FeeTotals, judge
from infra.tools.audit.verify import Verdict
from tests.infra.tools.audit.world import World, payment_of, report_outcome
from tests.support.builders import NOW, ROUTE, captured, cause, create_payment, operation_of, payment, report

# 1.5 % and 0.25 EUR of 10.99 EUR are 0.41.
EXPECTED = FeeBook(
    {
        "sim-eu": FeeSchedule(
            (
                FeeRule("cards", frozenset({"sale"}), (Price(15_000, {"EUR": 25_000_000}),)),
                FeeRule("free", frozenset({"refund"})),
            )
        )
    }
)
RIGHT = Kept(percent=Decimal("1.5"), fixed={"EUR": Decimal("0.25")})
BROKEN = Kept(percent=Decimal("2.9"), fixed={"EUR": Decimal("0.25")})


def charged(folder: Path, made: Payment, price: Kept) -> list[Fee]:
    """What the simulator, with this price, keeps of the payment's sale."""
    ledger = Ledger(folder / f"{uuid4()}.db")
    listed = PriceList(Currencies.table((2, "EUR USD")), {"captured": price}, "")
    ledger.fees = Fees({"stripe": listed})
    name = operation_of(made)
    with ledger.writing():
        under = Under("stripe", "pi_1", "sim-eu", name, "EUR")
        ledger.enter(under, 0, [Moved("captured", "pi_1", name, 10_990)], NOW.timestamp())
    ledger.close()
    return [fee for file in folder.glob("*.db") for fee in read_fees(file)]


def facts(made: Payment, fees: list[Fee]) -> Facts:
    return Facts(recorded=Recorded(made.version, made), fees=fees)


def totals(of: Facts) -> dict[str, Any]:
    found = FeeTotals()
    found.add(of)
    return found.as_json()


def test_a_fee_that_came_true_is_no_finding(tmp_path: Path):
    made = captured(fees=EXPECTED)
    of = facts(made, charged(tmp_path, made, RIGHT))

    assert list(judge(of)) == []
    assert totals(of) == {
        "operations": 1,
        "unknown": 0,
        "currencies": {
            "EUR": {"expected": "0.41", "kept": "0.41", "difference": "0.00", "kept_besides": "0.00"}
        },
    }


def test_a_psp_that_keeps_more_than_its_price_list_says_is_reported_and_is_no_fault(tmp_path: Path):
    made = captured(fees=EXPECTED)
    of = facts(made, charged(tmp_path, made, BROKEN))

    (finding,) = judge(of)
    assert finding.kind == "fee_differences"
    assert finding.reason.endswith("-s1 was expected to cost 0.41 EUR, and the PSP kept 0.57 EUR")
    assert totals(of)["currencies"]["EUR"]["difference"] == "0.16"
    verdict = Verdict()
    verdict.found["fee_differences"]["some payment"] = [finding.reason]
    assert verdict.ok


def test_a_fee_in_another_currency_than_was_expected_differs_in_both():
    made = captured(fees=EXPECTED)
    name = operation_of(made)
    other = Fee(
        "stripe", "captured", "sim-eu", "pi_1", "pi_1", name, name, Decimal("0.41"), Decimal(), "USD", NOW
    )

    (finding,) = judge(facts(made, [other]))
    assert "expected to cost 0.41 EUR, and the PSP kept 0.41 USD" in finding.reason
    shown = totals(facts(made, [other]))["currencies"]
    assert (shown["EUR"]["difference"], shown["USD"]["difference"]) == ("-0.41", "0.41")


def test_a_fee_that_was_not_expected_is_counted_and_no_difference(tmp_path: Path):
    made = captured()  # no price list
    of = facts(made, charged(tmp_path, made, RIGHT))

    assert list(judge(of)) == []
    shown = totals(of)
    assert (shown["operations"], shown["unknown"]) == (0, 1)
    assert shown["currencies"]["EUR"]["kept_besides"] == "0.41"


def test_what_was_not_executed_is_expected_to_cost_nothing(tmp_path: Path):
    made = payment(fees=EXPECTED)

    assert totals(facts(made, []))["operations"] == 0
    assert totals(facts(made, charged(tmp_path, made, RIGHT)))["currencies"]["EUR"]["kept_besides"] == "0.41"


def test_a_refund_that_is_free_and_cost_nothing_is_no_difference(tmp_path: Path):
    made = captured(fees=EXPECTED)
    later = cause(NOW + timedelta(minutes=1), uuid4(), fees=EXPECTED)
    merchant_commands.refund(made, 100, later, reason=None)
    fees = charged(tmp_path, made, RIGHT)  # of the newest operation
    outcomes.take(made, report(operation_of(made), amount_minor=100), ROUTE, later)

    assert [finding.reason.partition("-")[2] for finding in judge(facts(made, fees))] == [
        "s1 was expected to cost 0.41 EUR, and the PSP kept nothing",
        "r2 was expected to cost 0.00 EUR, and the PSP kept 0.41 EUR",
    ]
    assert [finding.reason.partition("-")[2] for finding in judge(facts(made, []))] == [
        "s1 was expected to cost 0.41 EUR, and the PSP kept nothing"
    ]


@pytest.mark.stack
async def test_the_verdict_reads_the_fees_from_the_ledger_and_the_stream(world: World):
    command = create_payment(idempotency_key="with-fees", command_id=uuid4())
    made = payment_of(command, EXPECTED)
    report_outcome(made, OperationState.APPROVED)
    name = operation_of(made)
    await world.send(command)
    world.save(Writes(payments=[made]))
    await world.project()
    world.move("captured", name)
    world.in_ledger(
        rows.INSERT_FEE,
        *("stripe", "pi_s1", 1, "pi_s1", "captured", "sim-eu", name, name, 570, 0, "EUR", 0.0),
    )

    verdict = await world.verdict()

    assert verdict.ok, verdict.found
    assert list(verdict.found["fee_differences"]) == [str(made.id)]
    assert verdict.as_json()["fees"]["currencies"]["EUR"] == {
        "expected": "0.41",
        "kept": "0.57",
        "difference": "0.16",
        "kept_besides": "0.00",
    }
    assert "fees expected 0.41 EUR, kept 0.57 EUR, difference 0.16 EUR" in list(verdict.fees.lines())
