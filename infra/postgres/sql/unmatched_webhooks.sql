-- name: named
-- The unmatched webhooks that name a payment, in no order: whoever reads them adds one.
SELECT id, payment_id, gateway, account, reason, event_type, received_at FROM (
    SELECT w.id, w.gateway, w.account, w.reason, w.received_at, w.notice ->> 'event_type' AS event_type,
        payment_named_by(w) AS payment_id
    FROM webhooks_in w WHERE w.state = 'unmatched' OR w.state = 'closed' AND w.reason = 'no_payment' AND EXISTS (
        SELECT FROM payment_events e WHERE e.originator_id = payment_named_by(w) AND e.topic = 'operation.started.v1'
            AND convert_from(e.state, 'UTF8')::jsonb ->> 'operation_id' = w.notice ->> 'reference'
    )
) unmatched WHERE payment_id IS NOT NULL
