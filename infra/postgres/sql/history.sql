-- name: events
-- The payment's stream.
SELECT originator_id, originator_version, topic, state FROM payment_events
WHERE originator_id = %s ORDER BY originator_version

-- name: claims
-- The claims of the operations that the payment's events name: by their key. A search for all ids that begin
-- with the payment's would read the whole table where the database's collation is not C.
SELECT operation_id, step, state, tries, first_try_at, last_try_at, result FROM gateway_sends
WHERE operation_id = ANY(%s) ORDER BY operation_id, step

-- name: timer
-- When the payment is woken next, and how often it was without effect.
SELECT wake_at, leased_until, leases, stuck_since, suspended FROM payment_timers WHERE payment_id = %s

-- name: parked
-- Why and since when the stream is parked.
SELECT reason, since FROM parked_streams WHERE payment_id = %s

-- name: read_model
-- The place in the log up to which the payment's read model is.
SELECT version, status, stale_since, action_url FROM payments WHERE payment_id = %s
