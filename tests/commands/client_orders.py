"""An order, and the refusal that a call of the client ends in."""

from collections.abc import Awaitable

import pytest

from commands.client import Refused
from commands.reply import Reply

ORDER = {"amount_minor": 1099, "currency": "EUR", "payment_method": "pm_card_visa"}


async def refused_by(asking: Awaitable[Reply]) -> Refused:
    with pytest.raises(Refused) as refused:
        await asking
    return refused.value
