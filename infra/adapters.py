"""Every PSP that AegisPay speaks to, by the name that settings and topics use."""

from collections.abc import Mapping
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
