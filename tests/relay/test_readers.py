"""What is published, read by the CloudEvents SDKs as docs/reading-events.md shows it."""

import asyncio
import json
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from infra.kafka import topics
from tests.relay.history import drain, relay_of
from tests.support.builders import create_payment, record_outcome
from tests.support.decider_harness import OUTCOMES, DeciderHarness
from tests.support.environment import Environment

_DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "reading-events.md"
_SNIPPETS = _DOCUMENT.parent / "snippets"
_READ_MAX_S = 120.0


class NotAtHand(Exception):
    """Why this SDK cannot be used here."""


def _python(folder: Path) -> Sequence[str | Path]:
    return (sys.executable, _SNIPPETS / "python" / "read_events.py")


def _javascript(folder: Path) -> Sequence[str | Path]:
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise NotAtHand("no Node.js with npm is at hand")
    _fetch("javascript", folder, "npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts")
    return ("node", folder / "read_events.mjs")


def _go(folder: Path) -> Sequence[str | Path]:
    if shutil.which("go") is None:
        raise NotAtHand("no Go toolchain is at hand")
    _fetch("go", folder, "go", "mod", "download")
    subprocess.run(["go", "build", "-o", folder / "read_events", "."], cwd=folder, check=True)
    return (folder / "read_events",)


def _fetch(language: str, folder: Path, *argv: str) -> None:
    shutil.copytree(_SNIPPETS / language, folder, dirs_exist_ok=True)
    if subprocess.run(argv, cwd=folder, capture_output=True, check=False).returncode:
        raise NotAtHand(f"the packages of docs/snippets/{language} could not be fetched")


def _to_the_microsecond(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _to_the_millisecond(text: str) -> datetime:
    exact = datetime.fromisoformat(text)
    return exact - timedelta(microseconds=exact.microsecond % 1000)


@pytest.mark.stack
@pytest.mark.parametrize(
    ("reader", "instant", "has_the_key"),
    [
        pytest.param(_python, _to_the_microsecond, True, id="python"),
        pytest.param(_javascript, _to_the_millisecond, True, id="javascript"),
        pytest.param(_go, _to_the_microsecond, False, id="go"),
    ],
)
async def test_the_sdk_reads_every_event_as_it_is_stored_and_in_order(
    environment: Environment, tmp_path: Path, reader, instant: Callable[[str], datetime], has_the_key
) -> None:
    try:
        argv = reader(tmp_path)
    except NotAtHand as why:
        pytest.skip(str(why))
    stored = _store_payments(environment, 8)
    async with relay_of(environment) as relay:
        await drain(relay)

    printed = await _lines(
        [
            *map(str, argv),
            environment.kafka,
            environment.prefix + topics.EVENTS,
            f"{environment.prefix}reader",
        ],
        len(stored),
    )

    read = defaultdict(list)
    for event in printed:
        event["time"] = datetime.fromisoformat(event["time"])
        read[event["subject"]].append(event)
    wanted = defaultdict(list)
    for payment_id, version, topic, state in stored:
        content = json.loads(state)
        key = {"partitionkey": payment_id} if has_the_key else {}
        wanted[payment_id].append(
            key
            | {
                "specversion": "1.0",
                "id": f"{payment_id}/{version}",
                "type": topic,
                "source": "/aegispay/payments",
                "subject": payment_id,
                "time": instant(content["timestamp"]),
                "datacontenttype": "application/json",
                "data": content,
            }
        )
    assert read == wanted


def test_the_document_shows_each_snippet_as_it_is_run() -> None:
    shown = re.findall(r"^```(?:python|js|go)\n(.*?)^```$", _DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)

    assert shown == [
        (_SNIPPETS / name).read_text()
        for name in ("python/read_events.py", "javascript/read_events.mjs", "go/read_events.go")
    ]


def _store_payments(environment: Environment, count: int) -> list[tuple[str, int, str, bytes]]:
    """Each is requested, sent to its PSP and captured."""
    with environment.connect() as connection:
        harness = DeciderHarness(connection)
        # No whole number of milliseconds.
        harness.now += timedelta(microseconds=123_457)
        for number in range(count):
            create = create_payment(idempotency_key=f"order-{number}", description="Ünïcode €")
            harness.run(harness.record(create))
            outcome = record_outcome(harness.payment(create.payment_id))
            harness.run(harness.record(outcome, topic=OUTCOMES))
        return connection.execute(
            "SELECT originator_id::text, originator_version, topic, state FROM payment_events"
            " ORDER BY originator_id, originator_version"
        ).fetchall()


async def _lines(argv: Sequence[str], count: int) -> list[dict[str, Any]]:
    """Starts the reader, which goes on for ever, and stops it once it has printed so many lines."""
    process = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE, limit=2**20)
    try:
        assert process.stdout is not None
        async with asyncio.timeout(_READ_MAX_S):
            return [json.loads(await process.stdout.readline()) for _ in range(count)]
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
