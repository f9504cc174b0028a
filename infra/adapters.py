"""Every PSP that AegisPay speaks to, by the name that settings and topics use."""

from collections.abc import Mapping
from typing import Final

from gateways.contract import Gateway
from gateways.stripe.adapter import Stripe

ADAPTERS: Final[Mapping[str, Gateway]] = {"stripe": Stripe()}
