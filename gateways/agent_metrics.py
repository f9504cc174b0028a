"""What the gateway agent counts."""

from typing import Literal

from prometheus_client import Counter, Histogram

from gateways.ports import Answered, Lost, NotWritten

OUTCOMES = Counter(
    "aegispay_gateway_outcomes", "Reported, by where they come from", ["gateway", "kind", "source"]
)
CALLS = Counter("aegispay_gateway_calls", "HTTP calls, by what came back", ["gateway", "what", "result"])
CALL_SECONDS = Histogram(
    "aegispay_gateway_call_seconds",
    "From a call's first byte to its answer's last",
    ["gateway", "what"],
    buckets=(0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
)
CLAIMS = Counter("aegispay_gateway_claims", "Claims, by result", ["gateway", "result"])
CONFIG_ALARMS = Counter(
    "aegispay_gateway_config_alarms",
    "A PSP refused our credentials or permissions: a person must look",
    ["gateway"],
)
LETTERS = Counter("aegispay_gateway_dead_letters", "Requests that could not be read", ["code"])


UNLISTED = Counter(
    "aegispay_gateway_unlisted_codes",
    "Statuses and codes of the PSP that stand in no table of its adapter: a person should add them",
    ["gateway", "code"],
)


def claimed(gateway: str, result: str) -> None:
    CLAIMS.labels(gateway, result).inc()


def called(
    gateway: str, what: Literal["send", "query", "cancel", "sign_in"], result: Answered | NotWritten | Lost
) -> None:
    match result:
        case Answered():
            came_back = f"{result.answer.status // 100}xx"
        case NotWritten() | Lost():
            came_back = result.code
    CALLS.labels(gateway, what, came_back).inc()
    if not isinstance(result, NotWritten):
        CALL_SECONDS.labels(gateway, what).observe(result.call_ms / 1000)
