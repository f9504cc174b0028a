"""The PSPs that the simulator plays. Each is one line here, and a folder."""

import re
from collections.abc import Sequence
from typing import Final

from gateways.simulator.adyen.declaration import PSP as ADYEN
from gateways.simulator.braintree.declaration import PSP as BRAINTREE
from gateways.simulator.core.accounts import Accounts
from gateways.simulator.core.psp import Psp
from gateways.simulator.paypal.declaration import PSP as PAYPAL
from gateways.simulator.razorpay.declaration import PSP as RAZORPAY
from gateways.simulator.stripe.declaration import PSP as STRIPE

PSPS: Final[Sequence[Psp]] = (STRIPE, RAZORPAY, PAYPAL, BRAINTREE, ADYEN)


def accounts(text: str | None, psps: Sequence[Psp] = PSPS) -> Accounts:
    """Reads a TOML file of accounts, and checks it against each PSP's options; without a file every PSP has
    its well-known account. Raises `ValueError`, whose text shows no secret."""
    if text is None:
        return Accounts([psp.default for psp in psps], well_known=True)
    read, by_name = Accounts.parse(text), {psp.name: psp for psp in psps}
    for account in read.all:
        psp = by_name.get(account.gateway)
        if psp is None:
            raise ValueError(f"accounts.{account.name}.gateway is one of {', '.join(by_name)}")
        for name, value in account.options.items():
            option = psp.options.get(name)
            if option is None:
                raise ValueError(f"accounts.{account.name}.options: {psp.title} has no option {name}")
            if re.fullmatch(option.pattern, value) is None:
                raise ValueError(f"accounts.{account.name}.options.{name} is not {option.pattern}")
    return read
