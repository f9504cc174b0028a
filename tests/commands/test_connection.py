from uuid import UUID, uuid4

import pytest

from commands.connection import NotSettled
from commands.reply import Reply

PAYMENT = UUID("e1b49c14-8d3e-537c-90a9-489eec1ba441")


@pytest.mark.parametrize(
    ("status", "action_url", "next_step"),
    [
        ("IN_DOUBT", None, "It goes on by itself: wait again"),
        ("REQUIRES_ACTION", "https://psp.example/3ds", "the customer to act at https://psp.example/3ds:"),
        ("REQUIRES_ACTION", None, "the customer to act at the action_url that the query API shows:"),
    ],
)
def test_a_late_end_says_whom_it_waits_for(status, action_url, next_step):
    reply = Reply(
        kind="decision",
        command_id=uuid4(),
        payment_id=PAYMENT,
        result="accepted",
        status=status,
        action_url=action_url,
    )

    text = str(NotSettled(reply, 15))

    assert text.startswith(f"payment {PAYMENT} is {status} after 15 s. ")
    assert next_step in text
    assert ("by itself" in text) == (status == "IN_DOUBT")
