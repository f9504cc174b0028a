"""What is typed wrong, and how arguments are named."""

from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command

from infra.cli import app
from tests.infra.cli.terminal import run

_WORDS = ("--evidence", "the PSP's page", "--who", "Kim", "--yes")


_BOTH = ("--method", "stripe:pm_1", "--method")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["pay", "create", "10.999", "EUR"], "EUR has 2 decimals"),
        (["pay", "create", "ten", "EUR"], "no amount"),
        (["pay", "create", "1", "XXX"], "does not take XXX"),
        (["pay", "create", "1", "EURO"], "Did you mean EUR?"),
        (["pay", "create", "EUR", "10.99"], "Write 10.99 EUR"),
        (["pay", "create", "1e3", "EUR"], "1e3 is no amount in EUR"),
        (["pay", "status", "e1b49c14-8d3e-537c-90a9-489eec1ba44"], "12 hex digits"),
        (["pay", "create", "-5", "EUR"], "The amount has to be above 0"),
        (["pay", "create", "0", "JPY"], "The amount has to be above 0"),
        (["pay", "create", "1", "EUR", "--method", "stirpe:pm_1"], "did you mean stripe:"),
        (["pay", "create", "1", "EUR", "--method", "4242424242424242"], "--method cannot be sent"),
        (["pay", "create", "1", "EUR", *_BOTH, "pm_1"], "behind its PSP's name: stripe, "),
        (["pay", "create", "1", "EUR", *_BOTH, "4242424242424242"], "--method cannot be sent"),
        (["pay", "create", "1", "EUR", *_BOTH, "stripe:pm_2"], "two --method have the same name"),
        (["pay", "create", "1", "EUR", *_BOTH, "adyn:8416"], "did you mean adyen:"),
        (["pay", "create", "1", "EUR", "--customer", "4242424242424242"], "--customer cannot be sent"),
        (["show", "nonsense"], "no payment's id"),
        (["parked", "retry"], "--all"),
        (["pay", "void", "nonsense"], "no payment's id"),
        (["doubt", "resolve", "nonsense", "--evidence", "x", "--who", "y"], "--charged or --not-charged"),
        (["doubt", "resolve", "p", "--charged", "--not-charged", *_WORDS], "exclude each other"),
        (["doubt", "resolve", "p", "--not-charged", "--amount", "5", *_WORDS], "leave out --amount"),
        (["doubt", "dispute", "p", "d", "--is", "won", "--is", "lost", *_WORDS], "--is is given twice"),
        (["pay", "create", "1", "EUR", "--key", "a", "--key", "b"], "--key is given twice"),
        (["api-key", "shop", "--scope", "everything"], "There are payments:read"),
        (["pay", "create", "1", "EUR", "--method", "adyn:8416"], "adyen:…"),
        (["chaos"], "--plan FILE or --random SEED"),
        (["nonsense"], "No such command"),
        (["show"], "Missing argument"),
        (["list", "--many"], "No such option"),
        (["bench", "--rate", "fast"], "must be a number"),
        (["list", "--limit", "0"], "must be 1 or more"),
        (["parked", "retry", "order-1"], "must be a UUID"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_to_write_instead(arguments, why, tmp_path):
    done = run(*arguments, AEGISPAY_DATA=str(tmp_path))

    assert done.returncode == 2
    assert why in done.stderr
    assert "Traceback" not in done.stderr


def test_every_argument_is_named_in_capitals():
    def arguments(group: Any) -> Iterator[Any]:
        for command in getattr(group, "commands", {}).values():
            yield from arguments(command)
            yield from (one for one in command.params if one.param_type_name == "argument")

    names = [one.metavar for one in arguments(get_command(app))]

    assert names
    assert [name for name in names if name is None or not name.isupper()] == []
