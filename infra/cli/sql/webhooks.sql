-- name: list
-- Webhooks that wait for their payment or for an operator; those for an operator last, the oldest first.
SELECT id, state, reason, gateway, account, notice ->> 'event_type' AS event_type, event_id,
    received_at, tries,
    CASE WHEN state = 'waiting' THEN next_try_at END AS next_try_at,
    extract(epoch FROM clock_timestamp() - received_at)::bigint AS age_s
FROM webhooks_in WHERE state IN ('waiting', 'unmatched') ORDER BY state DESC, id LIMIT %s

-- name: show
-- One webhook with its delivery and its last closing.
SELECT w.id, w.state, w.reason, w.gateway, w.account, w.event_id, w.received_at, w.tries, w.payment_id,
    w.notice, d.headers, d.body, c.closed_at, c.who AS closed_by, c.reason AS closed_reason, c.evidence
FROM webhooks_in w JOIN webhook_deliveries d USING (delivery_id)
    LEFT JOIN webhook_closings c ON c.webhook_id = w.id
WHERE w.id = %s ORDER BY c.closing_id DESC LIMIT 1

-- name: retry
-- Makes a webhook due now. One that was reported is not reported again.
UPDATE webhooks_in SET state = 'waiting', next_try_at = clock_timestamp()
WHERE id = %s AND state <> 'done' RETURNING id
