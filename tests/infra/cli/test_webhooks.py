"""`aegispay webhooks`, as an operator runs it."""

import json

import pytest

from commands.messages import Outcome
from gateways.contract import Hook, Notice
from infra.api.webhooks import _store
from infra.database import connect_async
from infra.settings import ApiSettings
from tests.infra.cli.test_commands import _run
from tests.relay.history import connect

pytestmark = pytest.mark.stack


@pytest.fixture
async def stored(place):
    """One that waits, one that takes a person, one that is done."""
    notices = [
        Notice(f"evt_{name}", "payment_intent.succeeded", psp_id="pi_1", outcome=Outcome(kind="UNKNOWN"))
        for name in ("waits", "lost", "done")
    ]
    body = b'{"secret": "whsec_planted", "card": "4242 4242 4242 4242", "amount": 1099, "bell": "\x07"}'
    hook = Hook({"stripe-signature": "t=1,v1=0", "authorization": "Basic planted"}, body)
    async with await connect_async(place.settings(ApiSettings, "api"), "test") as connection:
        await _store(connection, "stripe", "sim-eu", hook, tuple(notices))
    with connect(place, "admin") as owner:
        owner.execute(
            "UPDATE webhooks_in SET state = 'unmatched', why = 'no_way' WHERE event_id = 'evt_lost'"
        )
        owner.execute("UPDATE webhooks_in SET state = 'done' WHERE event_id = 'evt_done'")
        yield owner, dict(owner.execute("SELECT event_id, id FROM webhooks_in").fetchall())


async def test_what_has_not_found_its_payment_is_listed_with_age_account_and_type(place, stored):
    _, ids = stored
    env = place.env("audit")

    listed = json.loads(_run("webhooks", "list", "--json", **env).stdout)
    told = _run("webhooks", "list", **env).stdout

    assert [(one["id"], one["state"], one["why"]) for one in listed] == [
        (ids["evt_waits"], "waiting", None),
        (ids["evt_lost"], "unmatched", "no_way"),
    ]
    assert all(one["account"] == "sim-eu" and one["age_s"] >= 0 for one in listed)
    assert "sim-eu  payment_intent.succeeded" in told
    assert "evt_done" not in told


async def test_the_evidence_is_shown_without_secrets_card_numbers_and_control_characters(place, stored):
    _, ids = stored

    shown = _run("webhooks", "show", str(ids["evt_lost"]), **place.env("audit"))

    assert shown.returncode == 0, shown.stderr
    assert '"amount": 1099' in shown.stdout
    assert "stripe-signature: t=1,v1=0" in shown.stdout
    assert not any(bad in shown.stdout for bad in ("planted", "4242", "\x07"))


async def test_one_that_takes_a_person_is_tried_again_and_one_that_is_done_is_not(place, stored):
    owner, ids = stored

    again = _run("webhooks", "retry", str(ids["evt_lost"]), **place.env("admin"))
    done = _run("webhooks", "retry", str(ids["evt_done"]), **place.env("admin"))
    absent = _run("webhooks", "show", "999", **place.env("audit"))

    assert (again.returncode, done.returncode, absent.returncode) == (0, 69, 69)
    states = dict(owner.execute("SELECT event_id, state FROM webhooks_in").fetchall())
    assert states == {"evt_waits": "waiting", "evt_lost": "waiting", "evt_done": "done"}
