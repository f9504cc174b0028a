"""The metrics of the gateway agent."""

from typing import Literal

from prometheus_client import Counter, Histogram

from commands.messages import Outcome
from commands.notices import Notice
from gateways.agent.ports import NotWritten, Responded, ResponseLost

OUTCOMES = Counter(
    "aegispay_gateway_outcomes", "Reported, by where they come from", ["gateway", "kind", "source"]
)
CALLS = Counter("aegispay_gateway_calls", "HTTP calls, by what came back", ["gateway", "what", "result"])
CALL_SECONDS = Histogram(
    "aegispay_gateway_call_seconds",
    "From a call's first byte to its response's last",
    ["gateway", "what"],
    buckets=(0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
)
CLAIMS = Counter("aegispay_gateway_claims", "Claims, by result", ["gateway", "result"])
CONFIG_ALARMS = Counter(
    "aegispay_gateway_config_alarms",
    "A PSP refused our credentials or permissions: an operator must look",
    ["gateway"],
)
LETTERS = Counter("aegispay_gateway_dead_letters", "Requests that could not be read", ["code"])


UNLISTED = Counter(
    "aegispay_gateway_unlisted_codes",
    "Statuses and codes of the PSP that stand in no table of its adapter: an operator should add them",
    ["gateway", "code"],
)


def read(gateway: str, outcome: Outcome) -> None:
    """Counts a code that the adapter does not list: once for each response, and not for what is stored and
    reported again."""
    if outcome.unlisted:
        UNLISTED.labels(gateway, outcome.code or "none").inc()


def notified(gateway: str, notice: Notice) -> None:
    """Counts the codes of a webhook that the adapter does not list."""
    if notice.outcome is not None:
        read(gateway, notice.outcome)
    if notice.unlisted is not None:
        UNLISTED.labels(gateway, notice.unlisted).inc()


def claimed(gateway: str, result: str) -> None:
    """Counts a claim: `first`, `repeat` or `cancel` if granted, else `closed` or `may_only_query`."""
    CLAIMS.labels(gateway, result).inc()


def called(
    gateway: str,
    what: Literal["send", "query", "cancel", "sign_in"],
    result: Responded | NotWritten | ResponseLost,
) -> None:
    """Counts an HTTP call and, where a byte was written, its seconds."""
    match result:
        case Responded():
            came_back = f"{result.response.status // 100}xx"
        case NotWritten() | ResponseLost():
            came_back = result.code
    CALLS.labels(gateway, what, came_back).inc()
    if not isinstance(result, NotWritten):
        CALL_SECONDS.labels(gateway, what).observe(result.call_ms / 1000)
