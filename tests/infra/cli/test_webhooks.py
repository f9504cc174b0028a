"""`aegispay webhooks`, as an operator runs it."""

import json
import re

import pytest

from commands.messages import Outcome
from commands.notices import Notice
from gateways.contract import Webhook
from infra.api.webhooks import _store
from infra.postgres.connections import connect_async
from infra.settings import ApiSettings
from tests.infra.cli.terminal import run

pytestmark = pytest.mark.stack


@pytest.fixture
async def stored(environment):
    """One that waits, one that takes an operator, one that is done."""
    notices = [
        Notice(f"evt_{name}", "payment_intent.succeeded", psp_id="pi_1", outcome=Outcome(kind="UNKNOWN"))
        for name in ("waits", "lost", "done")
    ]
    body = b'{"secret": "whsec_planted", "card": "4242 4242 4242 4242", "amount": 1099, "bell": "\x07"}'
    webhook = Webhook({"stripe-signature": "t=1,v1=0", "authorization": "Basic planted"}, body)
    async with await connect_async(environment.settings(ApiSettings, "api"), "test") as connection:
        await _store(connection, "stripe", "sim-eu", webhook, tuple(notices))
    with environment.connect("admin") as owner:
        owner.execute(
            "UPDATE webhooks_in SET state = 'unmatched', reason = 'no_way' WHERE event_id = 'evt_lost'"
        )
        owner.execute("UPDATE webhooks_in SET state = 'done' WHERE event_id = 'evt_done'")
        yield owner, dict(owner.execute("SELECT event_id, id FROM webhooks_in").fetchall())


async def test_what_has_not_found_its_payment_is_listed_with_age_account_and_type(environment, stored):
    _, ids = stored
    env = environment.env("audit")

    listed = json.loads(run("webhooks", "list", "--json", **env).stdout)
    output = run("webhooks", "list", **env).stdout

    assert [(one["id"], one["state"], one["reason"]) for one in listed] == [
        (ids["evt_waits"], "waiting", None),
        (ids["evt_lost"], "unmatched", "no_way"),
    ]
    assert all(one["account"] == "sim-eu" and one["age_s"] >= 0 for one in listed)
    assert "sim-eu  payment_intent.succeeded" in output
    assert "evt_done" not in output


async def test_the_evidence_is_shown_without_secrets_card_numbers_and_control_characters(environment, stored):
    _, ids = stored

    shown = run("webhooks", "show", str(ids["evt_lost"]), **environment.env("audit"))

    assert shown.returncode == 0, shown.stderr
    assert '"amount": 1099' in shown.stdout
    assert "stripe-signature: t=1,v1=0" in shown.stdout
    assert not any(bad in shown.stdout for bad in ("planted", "4242", "\x07"))
    assert not any(pythons in shown.stdout for pythons in ("None", "{'", "False"))
    assert "notice.outcome.kind: UNKNOWN" in shown.stdout.splitlines()
    times = [line for line in shown.stdout.splitlines() if re.search(r"_at: \d{4}-", line)]
    assert times
    assert all(re.search(r"_at: \d{4}-\d\d-\d\dT[0-9:.]+Z$", line) for line in times)


async def test_one_that_takes_an_operator_is_tried_again_and_one_that_is_done_is_not(environment, stored):
    owner, ids = stored

    again = run("webhooks", "retry", str(ids["evt_lost"]), **environment.env("admin"))
    done = run("webhooks", "retry", str(ids["evt_done"]), **environment.env("admin"))
    absent = run("webhooks", "show", "999", **environment.env("audit"))

    assert (again.returncode, done.returncode, absent.returncode) == (0, 1, 1)
    states = dict(owner.execute("SELECT event_id, state FROM webhooks_in").fetchall())
    assert states == {"evt_waits": "waiting", "evt_lost": "waiting", "evt_done": "done"}


async def test_one_that_names_nothing_of_ours_is_closed_with_who_why_and_evidence(environment, stored):
    owner, ids = stored
    lost = str(ids["evt_lost"])
    words = ("--reason", "another shop's", "--evidence", "the PSP's page", "--yes", "--json")

    closed = run("doubt", "close-webhook", lost, *words, "--who", "Kim", **environment.env("admin"))
    again = run("doubt", "close-webhook", lost, *words, "--who", "Ada", **environment.env("admin"))
    done = run(
        "doubt", "close-webhook", str(ids["evt_done"]), *words, "--who", "Kim", **environment.env("admin")
    )
    listed = json.loads(run("webhooks", "list", "--json", **environment.env("audit")).stdout)
    shown = json.loads(run("webhooks", "show", lost, "--json", **environment.env("audit")).stdout)

    assert closed.returncode == 0, closed.stderr
    assert json.loads(again.stdout) == json.loads(closed.stdout)
    assert (done.returncode, "no webhook" in done.stderr) == (1, True)
    assert [one["id"] for one in listed] == [ids["evt_waits"]]
    assert (shown["closed_by"], shown["closed_reason"], shown["evidence"]) == (
        "Kim (aegispay doubt close-webhook)",
        "another shop's",
        "the PSP's page",
    )

    # It is opened again by a try, and may then be closed for another reason.
    assert run("webhooks", "retry", lost, **environment.env("admin")).returncode == 0
    owner.execute("UPDATE webhooks_in SET state = 'unmatched' WHERE event_id = 'evt_lost'")
    anew = run("doubt", "close-webhook", lost, *words, "--who", "Ada", **environment.env("admin"))
    assert json.loads(anew.stdout)["who"].startswith("Ada")
    assert owner.execute("SELECT count(*) FROM webhook_closings").fetchone() == (2,)
