"""The PSPs' own clients that the tests send to the simulator."""

from collections.abc import Sequence
from typing import Final, NamedTuple


class Tried(NamedTuple):
    """`interface`: the version that the client requests from the PSP, or calls."""

    gateway: str
    language: str
    package: str
    version: str
    interface: str


CLIENTS: Final[Sequence[Tried]] = (
    Tried("stripe", "Python", "stripe", "16.1.0", "2026-10-28.endive"),
    Tried("stripe", "Node.js", "stripe", "23.1.0", "2026-10-28.endive"),
    Tried("stripe", "Go", "github.com/stripe/stripe-go/v85", "v85.0.0", "2026-03-25.dahlia"),
    Tried("adyen", "Python", "Adyen", "16.0.0", "Checkout v72"),
    Tried("adyen", "Node.js", "@adyen/api-library", "32.1.0", "Checkout v72"),
    Tried("paypal", "Python", "paypal-server-sdk", "2.4.0", "Orders v2, Payments v2"),
    Tried("paypal", "Node.js", "@paypal/paypal-server-sdk", "2.5.0", "Orders v2, Payments v2"),
    Tried("braintree", "Python", "braintree", "4.48.0", "GraphQL 2018-09-10"),
    Tried("braintree", "Node.js", "braintree", "3.40.0", "GraphQL 2018-09-10"),
    Tried("razorpay", "Python", "razorpay", "2.0.1", "v1"),
    Tried("razorpay", "Node.js", "razorpay", "2.9.8", "v1"),
)
