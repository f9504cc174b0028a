"""A wrong exponent in an adapter's table moves other money than was requested, and the adapter reads it
back as what it meant: only the PSP's ledger, in the PSP's own amounts, shows it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from aggregates import money, outcomes
from gateways.adyen import amounts as adyen
from gateways.razorpay import amounts as razorpay
from gateways.simulator.core.ledger import read_movements
from gateways.stripe import amounts as stripe
from gateways.wire import money as wire
from infra.tools.audit import money as judged
from infra.tools.audit.facts import Facts, Finding, Recorded
from tests.gateways.conformance.books import CASEBOOKS
from tests.gateways.conformance.shop import shop_at
from tests.support.builders import ROUTE, cause, operation_of, payment, report

Plant = Callable[[pytest.MonkeyPatch, str, int], None]


def _decimals(table: ModuleType) -> Plant:
    """Where the adapter has a number of decimals for each currency."""

    def plant(patch: pytest.MonkeyPatch, currency: str, wrong: int) -> None:
        patch.setitem(table._AMOUNTS.decimals, currency, wrong)

    return plant


def _exponent(patch: pytest.MonkeyPatch, currency: str, wrong: int) -> None:
    """Where the adapter places the point by the minor unit's exponent."""

    def exponent(code: str) -> int:
        return wrong if code == currency else money.exponent(code)

    patch.setattr(wire, "money", SimpleNamespace(exponent=exponent))


@dataclass(frozen=True)
class Case:
    psp: str
    plant: Plant
    currency: str
    wrong: int
    minor: int
    human: str
    moved: str


CASES = [
    Case("stripe", _decimals(stripe), "JPY", 2, 500, "500", "50000"),
    Case("stripe", _decimals(stripe), "EUR", 0, 1000, "10", "0.10"),
    Case("stripe", _decimals(stripe), "ISK", 0, 500, "500", "5"),
    Case("adyen", _decimals(adyen), "IDR", 2, 1_500_000, "15000", "1500000"),
    Case("adyen", _decimals(adyen), "CLP", 0, 1000, "1000", "10"),
    Case("adyen", _decimals(adyen), "KWD", 2, 5120, "5.12", "0.512"),
    Case("razorpay", _decimals(razorpay), "JPY", 2, 500, "500", "50000"),
    Case("razorpay", _decimals(razorpay), "KWD", 2, 5100, "5.1", "0.51"),
    Case("paypal", _exponent, "JPY", 2, 500, "500", "5"),
    Case("paypal", _exponent, "TWD", 0, 80_000, "800", "80000"),
    Case("braintree", _exponent, "KWD", 0, 500, "0.5", "500"),
]


async def _sold(case: Case, folder: Path) -> tuple[Any, list[Finding], list[Decimal]]:
    """A sale at the PSP's simulator through the adapter: its outcome, what the audit finds, what the
    ledger shows."""
    book = CASEBOOKS[case.psp]
    options = book.credentials.options | {"merchant_accounts": f"{case.currency}=acct_of_it"}
    if case.psp == "braintree":
        simulated = book.simulator
        account = replace(simulated.account, options={"merchant_accounts": options["merchant_accounts"]})
        simulated = replace(simulated, account=account)
        credentials = replace(book.credentials, options=options)
        book = replace(book, credentials=credentials, simulator=simulated)
    life = payment(amount=money.Money(case.minor, case.currency))
    operation = life.operations[operation_of(life)]
    async with shop_at(book, folder) as shop:
        call = shop.begin("sale", "approved", amount_minor=case.minor, currency=case.currency)
        call = replace(call, reference=operation.id)
        call, outcome = await shop.end(call, await shop.send(call))
        moved = list(read_movements(shop.ledger_file))
    reported = report(
        operation.id, psp_id=outcome.psp_id, amount_minor=outcome.amount_minor, currency=outcome.currency
    )
    outcomes.take(life, reported, ROUTE, cause())
    facts = Facts(recorded=Recorded(life.version, life), movements=moved)
    return outcome, list(judged.judge(facts)), [one.amount for one in moved if one.kind == "captured"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.psp}-{case.currency}")
async def test_a_wrong_exponent_of_an_adapter_is_found_by_the_audit(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    case.plant(monkeypatch, case.currency, case.wrong)

    outcome, found, moved = await _sold(case, tmp_path)

    # The adapter sees nothing.
    assert (outcome.kind, outcome.amount_minor, outcome.currency) == ("APPROVED", case.minor, case.currency)
    assert moved == [Decimal(case.moved)]
    assert {one.kind for one in found} == {"amount_mismatches"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.psp}-{case.currency}")
async def test_with_its_own_table_the_adapter_moves_what_was_requested(case: Case, tmp_path: Path):
    outcome, found, moved = await _sold(case, tmp_path)

    assert (outcome.kind, outcome.amount_minor, outcome.currency) == ("APPROVED", case.minor, case.currency)
    assert moved == [Decimal(case.human)]
    assert found == []
