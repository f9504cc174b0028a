"""The command `aegispay`. Each module holds the commands of one kind and imports what they need when they run."""

import sys

import typer

from infra.cli import (
    admin,
    audit,
    bench,
    chaos,
    demo,
    doubt,
    gateway,
    operate,
    payments,
    show,
    simulator,
    stack,
    webhooks,
)
from infra.local.problem import LocalProblem
from infra.misconfigured import EXIT_MISCONFIGURED, Misconfigured

_EXIT_LOCAL_PROBLEM = 69

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
for command in (
    stack.up,
    stack.status,
    stack.doctor,
    simulator.simulator,
    demo.demo,
    audit.verify,
    bench.bench,
    chaos.chaos,
    show.show,
    admin.migrate,
    admin.topics,
    admin.api_key,
):
    app.command()(command)
app.add_typer(payments.pay, name="pay")
app.add_typer(doubt.doubt, name="doubt")
app.add_typer(gateway.gateway, name="gateway")
app.add_typer(operate.parked, name="parked")
app.add_typer(webhooks.webhooks, name="webhooks")
app.add_typer(operate.dead_letters, name="dead-letters")
app.add_typer(operate.relay, name="relay")


@app.callback()
def _about() -> None:
    """AegisPay: a payment orchestrator on Kafka and PostgreSQL."""


def main() -> None:
    try:
        app()
    except LocalProblem as problem:
        sys.stderr.write(f"aegispay: {problem.what}\n{problem.remedy}\n")
        sys.exit(_EXIT_LOCAL_PROBLEM)
    except Misconfigured as error:
        sys.stderr.write(f"aegispay: {error}\n")
        sys.exit(EXIT_MISCONFIGURED)
