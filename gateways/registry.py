"""The adapters of all PSPs, by the names that settings and topics use."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Final

from gateways.adyen.adapter import Adyen
from gateways.braintree.adapter import Braintree
from gateways.contract import Gateway
from gateways.paypal.adapter import PayPal
from gateways.razorpay.adapter import Razorpay
from gateways.stripe.adapter import Stripe

ADAPTERS: Final[Mapping[str, Gateway]] = {
    "stripe": Stripe(),
    "adyen": Adyen(),
    "paypal": PayPal(),
    "braintree": Braintree(),
    "razorpay": Razorpay(),
}


def stray_name(payment_methods: Mapping[str, str]) -> str | None:
    """The correction for tokens by PSP of which one is under a name that no PSP has, or has a PSP's name
    before it although it is no prefix of that PSP's own tokens. None: they are fine."""
    for name, token in payment_methods.items():
        adapter = ADAPTERS.get(name)
        if adapter is None:
            near = get_close_matches(name.lower(), ADAPTERS, 1)
            known = f"did you mean {near[0]}? " if near else ""
            return f"one of its names is no PSP's: {known}The names are {', '.join(ADAPTERS)}"
        prefix, colon, _ = token.partition(":")
        if colon and prefix in ADAPTERS and prefix not in adapter.facts.token_prefixes:
            return f"write the token of {name} without {prefix}: before it, as its name says whose it is"
    return None


def stray_prefix(payment_method: str, first: str | None = None) -> str | None:
    """The correction for a token whose part before the colon is neither a PSP's name nor a prefix of the
    tokens of `first`, the PSP to which tokens without a name belong (None: any PSP). None: the token is
    fine."""
    prefix, colon, _ = payment_method.partition(":")
    own = [adapter.facts.token_prefixes for name, adapter in ADAPTERS.items() if first in {None, name}]
    if not colon or prefix in ADAPTERS or any(prefix in prefixes for prefixes in own):
        return None
    names = ", ".join(f"{name}:…" for name in ADAPTERS)
    near = get_close_matches(prefix.lower(), ADAPTERS, 1)
    return (
        f"no PSP has the name before the colon: {f'did you mean {near[0]}:…? W' if near else 'w'}rite {names}"
    )
