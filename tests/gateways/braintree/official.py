"""The official library, whose import warns of itself."""

import warnings
from typing import Any

from tests.gateways.braintree.payloads import PRIVATE_KEY, PUBLIC_KEY

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import braintree

KINDS = sorted(kind for name, kind in vars(braintree.WebhookNotification.Kind).items() if name[0] != "_")


def gateway(environment: Any = None, public_key: str = PUBLIC_KEY, private_key: str = PRIVATE_KEY) -> Any:
    return braintree.BraintreeGateway(
        braintree.Configuration(
            environment or braintree.Environment.Sandbox,
            merchant_id="merchant",
            public_key=public_key,
            private_key=private_key,
        )
    )


def environment(host: str, port: int) -> Any:
    """A server of one's own, without TLS."""
    return braintree.Environment("own", host, str(port), "", False, None, host, str(port))
