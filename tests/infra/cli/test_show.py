"""A payment's state at the terminal is what will happen to it, not what would."""

from typing import Any

import pytest

from infra.cli.show import gist, tell_state

_WAKES = {"wake_at": "2026-11-30 12:00:00+00:00", "suspended": False}
_PARKED = {"since": "2026-11-30 11:00:00+00:00", "reason": "ValueError"}


def _record(**more: object) -> dict[str, object]:
    return {"payment_id": "p", "status": "PROCESSING", "parked": None, "timer": _WAKES, "claims": []} | more


def test_a_payment_with_a_timer_says_when_it_is_due(capsys: pytest.CaptureFixture[str]) -> None:
    tell_state(_record())

    assert "due again at 2026-11-30 12:00" in capsys.readouterr().out


def test_a_parked_payment_is_due_at_no_time(capsys: pytest.CaptureFixture[str]) -> None:
    tell_state(_record(parked=_PARKED, timer=_WAKES | {"suspended": True}))

    printed = capsys.readouterr().out
    assert "parked since 2026-11-30 11:00" in printed
    assert "its timer is suspended" in printed
    assert "due again" not in printed


def test_what_an_operation_is_expected_to_cost_is_shown_where_it_is_known(
    capsys: pytest.CaptureFixture[str],
) -> None:
    operation = {
        "operation_id": "p-s1",
        "kind": "sale",
        "state": "APPROVED",
        "amount": "10.99 EUR",
        "gateway": "stripe",
        "account": "sim-eu",
        "psp_id": "pi_1",
        "code": None,
        "detail": None,
    }
    known = operation | {"expected_fee": "0.41 EUR"}

    tell_state(_record(operations=[known], expected_fees=["0.41 EUR"]))
    tell_state(_record(operations=[operation | {"expected_fee": None}], expected_fees=[]))

    first, second = capsys.readouterr().out.split("p: PROCESSING")[1:]
    assert "pi_1, expected fee 0.41 EUR" in first
    assert "expected fees of what was executed: 0.41 EUR" in first
    assert "pi_1, expected fee unknown" in second
    assert "expected fees" not in second


def test_a_payment_that_waits_for_an_account_says_until_when_and_why(
    capsys: pytest.CaptureFixture[str],
) -> None:
    wait = {"until": "2026-11-30T13:00:00+01:00", "reason": "no PSP account may take it for now"}

    tell_state(_record(waits=[wait]))

    assert "waits until 2026-11-30 12:00:00 UTC: no PSP account may take it" in capsys.readouterr().out


def test_a_hooks_verdict_is_shown_with_its_name_score_and_reason() -> None:
    verdict: dict[str, Any] = {
        "hook": "risk",
        "kind": "fraud",
        "decision": "allow",
        "score": 0.0,
        "code": None,
        "reason": "a known customer",
        "failed": None,
        "failure_mode": None,
        "took_ms": 1.5,
        "only": [],
        "never": [],
        "prefer": [],
    }
    wishes = verdict | {"hook": "residency", "kind": "routing", "score": None, "never": ["a", "b"]}

    assert gist(verdict) == "hook risk, kind fraud, decision allow, score 0: a known customer"
    assert gist(wishes) == "hook residency, kind routing, decision allow, never a and b: a known customer"


def test_a_routing_decision_is_one_line_and_no_dict() -> None:
    decision = {"account": "sim-eu", "strategy": "metrics", "accounts": [{"account": "sim-eu"}]}

    assert gist({"decision": decision, "reason": "the first attempt"}) == (
        "decision sim-eu by metrics: the first attempt"
    )
