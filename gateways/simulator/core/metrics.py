"""The simulator's metrics."""

from typing import Final

from prometheus_client import Counter, Histogram

CALLS: Final = Counter(
    "aegispay_simulator_calls_total", "Calls that got a response", ["gateway", "operation", "status"]
)
FAULTS: Final = Counter(
    "aegispay_simulator_faults_total", "Calls that went wrong on purpose", ["gateway", "on", "do"]
)
CALL_S: Final = Histogram(
    "aegispay_simulator_call_seconds",
    "From a call's arrival to its response, the requested latency included",
    ["gateway", "operation"],
    buckets=(0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1, 5, 20),
)
WEBHOOKS: Final = Counter("aegispay_simulator_webhooks_total", "Posted webhooks", ["gateway", "result"])
