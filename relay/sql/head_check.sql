-- name: stored
-- The event of a payment's version as the store has it.
SELECT topic, state FROM payment_events WHERE originator_id = %s::uuid AND originator_version = %s
