"""`aegispay policy experiment`, on a real PostgreSQL."""

import asyncio
import json

import pytest

from tests.infra.cli.terminal import run
from tests.support.experiment_stories import EXPERIMENT
from tests.support.policies import activate, api_session

pytestmark = pytest.mark.stack


@pytest.fixture
def environment(database):
    async def prepare() -> None:
        async with api_session(database) as conn:
            await activate(conn, "shop", strategy=EXPERIMENT.model_dump(mode="json", exclude_none=True))

    asyncio.run(prepare())
    return database


def test_an_experiment_is_told_in_words_and_as_json(environment):
    shown = run("policy", "experiment", EXPERIMENT.id, "--merchant", "shop", **environment.env("audit"))
    as_json = run(
        "policy", "experiment", EXPERIMENT.id, "--merchant", "shop", "--json", **environment.env("audit")
    )

    nobody = "0 payments of 0 customers: 0 approved, 0 declined, 0 failed, 0 pending"
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.splitlines() == [
        "eu-or-us: running, policy version 1",
        "No winner yet: the approval rate of b is between 100.00 points below and 100.00 points above a's.",
        f"  a (50% of the customers, control): no outcome yet; {nobody}",
        f"  b (50% of the customers): no outcome yet; {nobody}",
        "    approval against a: -100.00 to +100.00 points",
    ]
    assert json.loads(as_json.stdout)["outcome"] == "none_yet"


def test_an_experiment_that_no_version_has_is_not_found(environment):
    missing = run("policy", "experiment", "another", "--merchant", "shop", **environment.env("audit"))

    assert missing.returncode == 1
    assert "No version of shop's policy that was active has an experiment another" in missing.stderr
