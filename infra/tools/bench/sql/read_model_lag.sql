-- name: shown
-- Whether the row of a payment has reached a version; no row before its first event is shown.
SELECT version >= %s FROM payments WHERE payment_id = %s
