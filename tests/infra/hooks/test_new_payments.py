"""What hooks decide about new payments: order, denials, failure modes, and what is kept of their words."""

import asyncio
import time

import pytest

from aggregates.routing.facts import Hints
from commands.hooks import (
    Accept,
    Accounts,
    Allow,
    Deny,
    FraudCheck,
    PreValidation,
    Refuse,
    Review,
    Routing,
)
from infra.errors import Misconfigured
from infra.hooks.discovery import Hooks
from infra.hooks.new_payments import NewPaymentHooks
from tests.support.builders import create_payment

CREATE = create_payment(metadata={"channel": "web"})


async def consult(hooks: Hooks, *creates):
    made = NewPaymentHooks.of(hooks, 4, 10)
    assert made is not None
    return await made.consult(creates or [CREATE])


async def verdicts(hooks: Hooks):
    return (await consult(hooks))[CREATE.command_id]


def pre(run, name="pre", on_failure="open", within_s=0.5) -> PreValidation:
    return PreValidation(name=name, run=run, on_failure=on_failure, within_s=within_s)


def fraud(run, name="fraud", **more) -> FraudCheck:
    return FraudCheck(name=name, run=run, **more)


def test_none_is_installed_is_no_object_at_all():
    assert NewPaymentHooks.of(Hooks(), 4, 10) is None


async def test_the_kinds_come_in_their_order_and_each_verdict_has_its_score_and_words():
    decided = await verdicts(
        Hooks(
            routing=(
                Routing(
                    name="residency",
                    run=lambda _: Accounts(only=("sim-eu",), prefer=("sim-eu",), reason="stays in the EU"),
                    on_failure="closed",
                ),
            ),
            fraud=(fraud(lambda _: Review("new customer", 0.6)), fraud(lambda _: Allow(0.1), "second")),
            pre_validation=(pre(lambda _: Accept()),),
        )
    )

    assert [(one.hook, one.kind, one.decision, one.score) for one in decided] == [
        ("pre", "pre_validation", "allow", None),
        ("fraud", "fraud", "review", 0.6),
        ("second", "fraud", "allow", 0.1),
        ("residency", "routing", "allow", None),
    ]
    assert decided[1].reason == "new customer"
    assert decided[3].hints == Hints(("sim-eu",), (), ("sim-eu",))
    assert all(one.took_ms > 0 for one in decided)


async def test_after_a_denial_no_further_hook_is_called():
    called = []
    decided = await verdicts(
        Hooks(
            pre_validation=(
                pre(lambda _: Refuse("shop_closed", "the shop is closed")),
                pre(lambda _: called.append(1) or Accept(), "later"),
            ),
            fraud=(fraud(lambda _: called.append(2) or Allow()),),
        )
    )

    assert [(one.decision, one.code, one.reason) for one in decided] == [
        ("deny", "shop_closed", "the shop is closed")
    ]
    assert called == []


@pytest.mark.parametrize(("mode", "decision"), [("open", "allow"), ("closed", "deny")])
async def test_a_slow_hook_meets_its_limit_and_its_failure_mode_decides(mode, decision):
    async def slow(_payment):
        await asyncio.Event().wait()

    began = time.monotonic()
    (decided,) = await verdicts(Hooks(pre_validation=(pre(slow, on_failure=mode, within_s=0.03),)))

    assert (decided.decision, decided.failed, decided.failure_mode) == (
        decision,
        "timed out after 30 ms",
        mode,
    )
    assert time.monotonic() - began < 2


async def test_a_fraud_check_fails_closed_unless_it_says_otherwise():
    (decided,) = await verdicts(Hooks(fraud=(fraud(lambda _: 1 / 0),)))

    assert (decided.decision, decided.failed) == ("deny", "raised ZeroDivisionError")


async def test_all_payments_of_a_batch_are_consulted_about_at_once_each_with_its_own_verdict():
    both = asyncio.Barrier(2)

    async def meets(payment):
        await both.wait()
        return Allow(0.5 if payment.amount_minor == 1 else 0.25)

    creates = [
        create_payment(
            idempotency_key=f"k{minor}", command_id=f"c0ffee00-0000-4000-8000-00000000000{minor}"
        ).model_copy(update={"amount_minor": minor})
        for minor in (1, 2)
    ]
    decided = await consult(Hooks(fraud=(fraud(meets, within_s=5),)), *creates)

    assert [decided[one.command_id][0].score for one in creates] == [0.5, 0.25]


async def test_a_hook_sees_the_payment_and_cannot_change_it():
    seen = []

    def look(payment):
        seen.append(payment)
        payment.metadata["channel"] = "shop"

    (decided,) = await verdicts(Hooks(pre_validation=(pre(look),)))

    (payment,) = seen
    assert decided.failed == "raised TypeError"
    assert (payment.amount_minor, payment.currency, payment.metadata["channel"]) == (1099, "EUR", "web")
    assert payment.payment_method == "pm_card_visa"
    assert "pm_card_visa" not in repr(payment)


@pytest.mark.parametrize(
    "words",
    ["the token pm_card_visa is stolen", "card 4111 1111 1111 1111 is stolen"],
)
async def test_words_with_a_token_or_a_card_number_are_withheld(words):
    (decided,) = await verdicts(Hooks(fraud=(fraud(lambda _: Deny(words, 0.9)),)))

    assert decided.reason.startswith("(withheld")
    assert (decided.decision, decided.score) == ("deny", 0.9)


async def test_long_words_are_cut_and_control_characters_do_not_pass():
    (decided,) = await verdicts(Hooks(fraud=(fraud(lambda _: Deny("a\x00b\n" + "x" * 900)),)))

    assert decided.reason.startswith("a b xxx")
    assert len(decided.reason) == 400


def test_limits_that_do_not_fit_into_a_batch_stop_the_start_with_what_to_change():
    slow = Hooks(pre_validation=(pre(lambda _: Accept(), within_s=2),))

    with pytest.raises(Misconfigured, match="AEGISPAY_HOOK_THREADS"):
        NewPaymentHooks.of(slow, threads=10, batch_max=500)
    assert NewPaymentHooks.of(slow, threads=50, batch_max=500) is not None


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ("sim-us", "TypeError"),
        (None, "TypeError"),
        ((7,), "TypeError"),
        (("4111111111111111",), "ValueError"),
        (("sim us",), "ValueError"),
        (["a"] * 21, "ValueError"),
    ],
)
@pytest.mark.parametrize("field", ["only", "never", "prefer"])
@pytest.mark.parametrize(("mode", "decision"), [("open", "allow"), ("closed", "deny")])
async def test_what_is_no_list_of_accounts_is_a_failed_hook(wrong, error, field, mode, decision):
    hook = Routing(name="residency", run=lambda _: Accounts(**{field: wrong}), on_failure=mode)

    (decided,) = await verdicts(Hooks(routing=(hook,)))

    assert (decided.decision, decided.failed, decided.failure_mode) == (decision, f"raised {error}", mode)
    assert decided.hints is None or decided.hints == Hints()
