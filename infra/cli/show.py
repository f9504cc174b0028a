"""`aegispay show`: all that is known of one payment."""

from pathlib import Path
from typing import Any

from infra.cli.options import AsJson, Data, PaymentName, payment_of
from infra.cli.output import say, write_json
from infra.local.problem import LocalProblem


def show(payment: PaymentName, data: Data = None, *, json: AsJson = False) -> None:
    """One payment: how it stands, its operations, and every event with its reason."""
    told = found(payment, data)
    if json:
        write_json(told)
        return
    tell_state(told)
    say("")
    for event in told["events"]:
        say(f"{event['version']:>4}  {event['at'].isoformat()}  {event['type']}  {_gist(event['data'])}")


def found(payment: str, data: Path | None) -> dict[str, Any]:
    """Raises `LocalProblem`."""
    from infra.database import connect
    from infra.history import history
    from infra.settings import DatabaseSettings
    from infra.target import settings_of

    payment_id = payment_of(payment)
    with connect(settings_of(DatabaseSettings, "audit", data), "show") as connection:
        told = history(connection, payment_id)
    if told is None:
        raise LocalProblem(
            f"There is no payment {payment_id}", "Was its command sent? `aegispay dead-letters list`"
        )
    return told


def tell_state(told: dict[str, Any]) -> None:
    say(f"{told['payment_id']}: {told['status']}{' FROZEN' if told.get('frozen') else ''}")
    for name in (
        "amount",
        "merchant_id",
        "customer_id",
        "idempotency_key",
        "reason",
        "correlation_id",
        "why",
    ):
        if told.get(name) is not None:
            say(f"  {name}: {told[name]}")
    if told["parked"] is not None:
        say(f"  parked since {told['parked']['since']}: {told['parked']['reason']}")
    if told["timer"] is not None and told["timer"]["wake_at"] is not None:
        say(f"  looked at again at {told['timer']['wake_at']}")
    for operation in told.get("operations", []):
        say(
            f"  {operation['operation_id']}: {operation['kind']} {operation['state']}, {operation['amount']}, "
            f"{operation['gateway']}/{operation['account']}, {operation['psp_id'] or 'no id at the PSP'}"
        )
    for claim in told["claims"]:
        say(f"  step {claim['step']} of {claim['operation_id']}: {claim['state']}, {claim['tries']} tries")


def _gist(data: dict[str, Any]) -> str:
    names = ("code", "how", "psp_id", "retry_at", "reported", "why", "decision", "who", "evidence")
    told = ", ".join(f"{name} {data[name]}" for name in names if data.get(name))
    return told + (f": {data['because']}" if data.get("because") else "")
