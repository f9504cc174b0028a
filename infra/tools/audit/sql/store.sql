-- name: events
-- Every event, stream by stream.
SELECT originator_id, originator_version, topic, state FROM payment_events ORDER BY originator_id, originator_version

-- name: refusals
-- The refused commands of each payment.
SELECT payment_id, array_agg(command_id) FROM command_refusals GROUP BY payment_id ORDER BY payment_id

-- name: parked
-- Parked payments, with the places on Kafka of the records that wait behind each.
SELECT s.payment_id, s.reason,
    array_remove(array_agg(r.topic || '/' || r.partition || '/' || r.record_offset), NULL)
FROM parked_streams s LEFT JOIN parked_records r USING (payment_id)
GROUP BY s.payment_id, s.reason ORDER BY s.payment_id

-- name: timers
-- Timers that are overdue by so many seconds and will still do something. Two kinds of payments are settled
-- although their PSP is queried now and then: one that waits for its customer, and a frozen one without an
-- operation under way, which an operator has to decide.
SELECT count(*) FROM payment_timers t
WHERE t.wake_at < clock_timestamp() + make_interval(secs => %s)
    AND t.stuck_since IS NULL AND NOT t.suspended
    AND NOT EXISTS (
        SELECT FROM payments p JOIN payment_events e
            ON e.originator_id = p.payment_id AND e.originator_version = p.version
        WHERE p.payment_id = t.payment_id AND p.version >= t.version
            AND e.topic <> 'operation.follow_up_requested.v1'
            AND (p.status = 'REQUIRES_ACTION' OR p.frozen AND NOT EXISTS (
                SELECT FROM operations o WHERE o.payment_id = p.payment_id AND o.state <> ALL(%s)
            ))
    )

-- name: webhooks
-- Webhooks that the inbox has not tried yet.
SELECT count(*) FROM webhooks_in WHERE state = 'waiting' AND tries = 0

-- name: behind
-- Payments that the read model lacks, or has at an earlier version.
SELECT count(*) FROM (
    SELECT originator_id, max(originator_version) AS version FROM payment_events GROUP BY originator_id
) e
LEFT JOIN payments p ON p.payment_id = e.originator_id WHERE p.version IS DISTINCT FROM e.version
