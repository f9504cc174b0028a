-- name: take_snapshot
-- Begins the snapshot of a repeatable-read transaction: PostgreSQL takes it with the first statement.
SELECT 1 FROM payment_events LIMIT 1
