"""What a call costs an adapter, in CPU and without the network: its request and the reading of its response,
for each operation of each case book. `python -m tests.gateways.conformance.cost`
"""

import statistics
import time

from tests.gateways.conformance.book import CaseBook
from tests.gateways.conformance.books import CASEBOOKS, operations
from tests.gateways.conformance.cases import Operation

_CALLS = 1000
_ROUNDS = 5


def cost_us(book: CaseBook, operation: Operation) -> float:
    """Of one call, the median of the rounds."""
    call, response = book.case(operation, book.best(operation))
    gateway, credentials = book.gateway, book.credentials
    rounds = []
    for _ in range(_ROUNDS):
        began = time.process_time()
        for _ in range(_CALLS):
            gateway.request(call, credentials)
            gateway.outcome(call, response)
        rounds.append((time.process_time() - began) / _CALLS * 1e6)
    return statistics.median(rounds)


def main() -> None:
    for name, book in CASEBOOKS.items():
        costs = {operation: cost_us(book, operation) for operation in operations(book)}
        each = ", ".join(f"{operation} {cost:.0f}" for operation, cost in costs.items())
        print(f"{name}: at most {max(costs.values()):.0f} us a call ({each})")


if __name__ == "__main__":
    main()
