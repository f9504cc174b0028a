"""The command `aegispay`. Each module holds the commands of one kind and imports what they need only when
they run."""

import os
import sys
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption
from typer.exceptions import TyperException
from typer.rich_utils import rich_format_error

from commands import wording
from infra.cli import (
    admin,
    audit,
    bench,
    bench_experiments,
    chaos,
    closing,
    dead_letters,
    demo,
    doubt,
    experiment,
    failures,
    gateway,
    gateways,
    options,
    parked,
    payments,
    policy,
    relay,
    review,
    show,
    simulator,
    stack,
    webhooks,
)
from infra.cli.output import failure, say, write_json
from infra.errors import Mistyped

_EXIT_INTERRUPTED: Final = 130


class _Commands(TyperGroup):
    def invoke(self, ctx: Any) -> Any:
        """Replaces a library's message about a mistyped value by our own."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            errors = getattr(error.__cause__, "errors", None)
            if errors is not None:
                error.message = "; ".join(
                    map(wording.sentence, errors(include_url=False, include_input=False))
                )
            raise


class _Command(TyperCommand):
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Refuses an option that is given twice: of two amounts or decisions the last would win silently.
        Raises `Mistyped`."""
        if not ctx.resilient_parsing:
            _, _, given = self.make_parser(ctx).parse_args(args=list(args))
            once = [one for one in given if isinstance(one, TyperOption) and not one.multiple]
            twice = next((one.opts[0] for one in once if once.count(one) > 1), None)
            if twice is not None:
                raise Mistyped(f"{twice} is given twice", "Write it once", twice)
        return super().parse_args(ctx, args)


app = typer.Typer(cls=_Commands, no_args_is_help=True, pretty_exceptions_enable=False)
for command in (
    stack.up,
    stack.down,
    stack.status,
    stack.logs,
    stack.doctor,
    simulator.simulator,
    demo.demo,
    audit.verify,
    chaos.chaos,
    show.list_,
    show.show,
    gateways.gateways,
    admin.migrate,
    admin.topics,
    admin.api_key,
):
    app.command(command.__name__.rstrip("_").replace("_", "-"))(command)
app.add_typer(payments.pay, name="pay")
doubt.doubt.command("close-webhook")(closing.close_webhook)
app.add_typer(doubt.doubt, name="doubt")
bench.bench.command()(bench_experiments.experiments)
app.add_typer(bench.bench, name="bench")
app.add_typer(gateway.gateway, name="gateway")
app.add_typer(parked.parked, name="parked")
policy.policy.command()(experiment.experiment)
app.add_typer(policy.policy, name="policy")
app.add_typer(webhooks.webhooks, name="webhooks")
app.add_typer(dead_letters.dead_letters, name="dead-letters")
app.add_typer(relay.relay, name="relay")
app.add_typer(review.review, name="review")
for group in (app, *(one.typer_instance for one in app.registered_groups)):
    for registered in group.registered_commands if group is not None else ():
        registered.cls = _Command


def _version(*, wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        say(f"aegispay {version('aegispay')}")
        raise typer.Exit


@app.callback()
def _about(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """AegisPay: a payment orchestrator on Kafka and PostgreSQL.

    Exit codes: 0 done, 1 refused, not found or not clean, 2 mistyped, 3 no stack is up, 69 a server does not
    respond or this machine lacks something, 78 misconfigured.
    """
    _logs_apart()


def _logs_apart() -> None:
    """Keeps standard output for a command's own result. The Kafka client's log is silent, because the
    command's error names an unreachable broker."""
    import logging

    import structlog

    structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


def main() -> None:
    """Runs the command and ends the process with its exit code."""
    as_json = "--json" in sys.argv
    try:
        # The reason is a document with --json, which click would not print.
        code = app(standalone_mode=False)
    except TyperException as error:
        code = _mistyped(error, as_json=as_json)
    except typer.Abort:
        code = failures.tell("stopped: nothing was recorded", None, None, 1, as_json=as_json)
    except KeyboardInterrupt:
        code = _EXIT_INTERRUPTED
    except BrokenPipeError:
        # `aegispay list | head`: the reader has closed the pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python writes at its end
        code = 0
    except Exception as error:
        code = failures.report(error, as_json=as_json)
        if code is None:
            raise
    if code == _EXIT_INTERRUPTED and as_json:
        write_json(failure("interrupted", None, "Start it again", code))
    sys.exit(code or 0)


def _mistyped(error: TyperException, *, as_json: bool) -> int:
    option = str(getattr(error, "option_name", ""))
    if option[1:2].isdigit():
        return failures.tell(*options.NOT_ABOVE_0, error.exit_code, as_json=as_json)
    text = error.format_message()
    if as_json:
        write_json(failure(text, None, "Add --help for what may be written", error.exit_code))
    rich_format_error(error)  # type: ignore[arg-type]  # whatever the parser raises is one of click's
    return error.exit_code
