-- name: requested
-- A payment's first event, and an operation's state as the read model has it: NULL where it has none yet.
SELECT e.state, o.state FROM payment_events e LEFT JOIN operations o ON o.operation_id = %s
WHERE e.originator_id = %s AND e.originator_version = 1
