-- name: take
-- Leases a batch of due webhooks of the named gateways, or of all but the named ones.
-- A lease, not a lock that is held: a transaction that waits for the broker would hold back the relay.
WITH due AS (
    -- The states are those of the partial index webhooks_in_due, so that the planner uses it.
    SELECT id FROM webhooks_in WHERE state IN ('waiting', 'unmatched', 'closed') AND next_try_at <= now()
        AND (gateway = ANY(%(gateways)s)) = %(named)s
    ORDER BY next_try_at LIMIT %(batch)s FOR UPDATE SKIP LOCKED
)
UPDATE webhooks_in AS w SET next_try_at = now() + %(lease_s)s * interval '1 second'
FROM due WHERE w.id = due.id
RETURNING w.id, w.gateway, w.account, w.event_id, w.received_at, w.notice, w.tries,
    EXISTS (
        SELECT FROM webhooks_in b
        -- The index webhooks_in_signed serves this: it holds only webhooks that have such a signature.
        WHERE b.account = w.account AND b.notice ->> 'signed_as' = w.notice ->> 'signed_as' AND b.id < w.id
    ) AS signed_before,
    w.received_at < now() - %(tried_for_s)s * interval '1 second' AS last_try, w.state <> 'waiting' AS unmatched

-- name: mark
-- Writes down what was decided about each webhook of a batch.
-- Whoever comes late with a row that another has done meanwhile changes nothing. What an operator has closed,
-- perhaps meanwhile, stays closed until a report was made of it.
UPDATE webhooks_in AS w SET
    state = CASE WHEN w.state = 'closed' AND (m.state, m.payment_id IS NULL) <> ('done', false) THEN 'closed' ELSE m.state END,
    reason = m.reason, payment_id = m.payment_id, tries = m.tries,
    next_try_at = coalesce(now() + m.wait_s * interval '1 second', 'infinity')
FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::uuid[], %s::smallint[], %s::int[])
    AS m (id, state, reason, payment_id, tries, wait_s)
WHERE w.id = m.id AND w.state <> 'done'
