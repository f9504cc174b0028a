"""Faust's transport as the runtime needs it, without a broker."""

from mode.utils.queues import FlowControlQueue

from infra.kafka.faust_transport import FlowControl


async def test_what_was_fetched_before_the_flow_is_resumed_is_kept_and_a_rebalance_clears_it():
    flow = FlowControl()
    fetched = FlowControlQueue[str](flow_control=flow, clear_on_resume=True)
    fetched.put_nowait("a record behind the committed offset")

    flow.resume()
    assert (flow.is_active(), fetched.qsize()) == (True, 1)

    flow.suspend()
    flow.clear()
    assert (flow.is_active(), fetched.qsize()) == (False, 0)
