"""The hooks of docs/hooks.md: shown as they are, installed as a wheel, and each doing what the page says."""

import json
import os
import re
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from commands.hooks import Accept, Accounts, Allow, Deny, NewPayment, Refuse, Review
from docs.snippets.hooks.shop_hooks import ceiling, journal, minimum, residency, risk
from infra.hooks.lifecycle import running
from infra.hooks.new_payments import _new_payment
from infra.workers.listener import event_of
from tests.infra.hooks.test_lifecycle import REQUEST, RESULT
from tests.infra.workers.test_listener import record
from tests.support.builders import create_payment

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "docs" / "snippets" / "hooks"
_SHOWN = re.compile(r"`docs/snippets/hooks/([^`]+)`:\n\n```\w+\n(.*?)```\n", re.DOTALL)


def payment(**other) -> NewPayment:
    return replace(_new_payment(create_payment()), **other)


def test_the_page_shows_every_example_as_it_is():
    shown = dict(_SHOWN.findall((ROOT / "docs" / "hooks.md").read_text()))

    files = {str(file.relative_to(FOLDER)) for file in (*FOLDER.glob("*.toml"), *FOLDER.glob("*/*.py"))}
    assert set(shown) == files - {"shop_hooks/__init__.py"}
    for name, text in shown.items():
        assert text == (FOLDER / name).read_text(), name


def test_the_wheel_of_the_examples_is_found_by_its_entry_points(tmp_path):
    wheel = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, FOLDER]
    subprocess.run(wheel, check=True, capture_output=True)
    (built,) = tmp_path.glob("*.whl")
    installed = tmp_path / "installed"
    with zipfile.ZipFile(built) as archive:
        archive.extractall(installed)
    program = (
        "import json; from infra.hooks.discovery import installed; from infra.settings import HookSettings; "
        "found = installed(HookSettings()); "
        "print(json.dumps({kind: [one.name for one in getattr(found, kind)] for kind in found.__slots__}))"
    )
    path = os.pathsep.join(map(str, (installed, ROOT)))

    ended = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": path, "SHOP_JOURNAL": str(tmp_path / "journal.txt")},
        check=True,
        capture_output=True,
        text=True,
    )

    assert json.loads(ended.stdout) == {
        "pre_validation": ["minimum"],
        "fraud": ["risk"],
        "routing": ["residency"],
        "lifecycle": ["ceiling"],
        "listeners": ["journal"],
    }


def test_a_payment_below_the_minimum_is_refused():
    assert isinstance(minimum.check(payment(amount_minor=49)), Refuse)
    assert minimum.check(payment(amount_minor=50)) == Accept()
    assert minimum.check(payment(amount_minor=1, currency="KWD")) == Accept()


@pytest.mark.parametrize(
    ("fields", "verdict"),
    [
        ({"customer_id": "customer-blocked"}, Deny("the customer is on the block list", 1.0)),
        (
            {"amount_minor": 50_000, "card_country": "US", "country": "DE"},
            Review("a large order with a card from another country", 0.8),
        ),
        ({"amount_minor": 50_000}, Allow(0.3)),
        ({"card_country": "US", "country": "DE"}, Allow(0.3)),
        ({}, Allow(0.05)),
    ],
)
async def test_the_fraud_check_denies_holds_and_scores(fields, verdict):
    assert await risk.check(payment(**fields)) == verdict


def test_a_customers_country_chooses_the_account():
    assert residency.choose(payment(country="IN")).only == ("acct-in",)
    assert residency.choose(payment(country="DE")) == Accounts(never=("acct-in",))


async def test_a_large_refund_is_not_sent_and_what_is_taken_is_counted():
    refund = replace(REQUEST, call=replace(REQUEST.call, kind="refund", amount_minor=1_000_001))

    async with running("stripe", [ceiling.hook], 2, drain_s=5) as hooks:
        assert await hooks.before(REQUEST) is None
        assert "refund_too_large" in (await hooks.before(refund)).detail
        hooks.after(REQUEST, RESULT)
    assert ceiling.taken["sim-eu", "USD"] == 1099


def test_the_journal_has_each_event_once_also_after_a_restart(tmp_path, monkeypatch):
    monkeypatch.setenv("SHOP_JOURNAL", str(tmp_path / "journal.txt"))
    events = [event_of(record(number, b'{"timestamp": "2026-11-30T12:00:00Z"}')) for number in (1, 2, 2)]
    for _ in range(2):
        listener = journal.make()
        for event in events:
            listener.run(event)

    lines = (tmp_path / "journal.txt").read_text().splitlines()
    assert [line.split()[0] for line in lines] == [events[0].id, events[1].id]
