-- name: gaps
-- Stored events of each payment above the version that its row has, up to the head that is wanted.
SELECT e.originator_id::text, e.originator_version, e.topic, e.state
FROM unnest(%s::uuid[], %s::bigint[], %s::bigint[]) AS gap (payment_id, above, head)
JOIN payment_events e ON e.originator_id = gap.payment_id
    AND e.originator_version > gap.above AND e.originator_version <= gap.head
