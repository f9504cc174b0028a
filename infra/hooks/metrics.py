"""The metrics of hooks."""

from prometheus_client import Counter, Gauge, Histogram

CALLS = Counter(
    "aegispay_hook_calls",
    "Calls of hooks, by what came of them: a decision, or why there was none",
    ["kind", "hook", "result"],
)
SECONDS = Histogram(
    "aegispay_hook_seconds",
    "Until a hook returned, or was given up",
    ["kind", "hook"],
    buckets=(0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
)
LATE = Gauge(
    "aegispay_hook_calls_late",
    "Calls that passed their limit and still run: a thread cannot be ended",
    ["kind", "hook"],
)
UNOBSERVED = Counter(
    "aegispay_hook_outcomes_unobserved",
    "Outcomes that a lifecycle hook was not shown, since it hangs or is too slow",
    ["hook"],
)
LETTERS = Counter(
    "aegispay_listener_dead_letters", "Events that a listener failed on again and again", ["hook"]
)
