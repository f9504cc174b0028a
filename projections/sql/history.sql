-- name: page
-- A payment's events after a version, and its first on every page, which names the merchant.
SELECT originator_version, topic, state FROM payment_events
WHERE originator_id = %s AND (originator_version = 1 OR originator_version > %s)
ORDER BY originator_version LIMIT %s

-- name: first
-- The state of a payment's first event.
SELECT state FROM payment_events WHERE originator_id = %s AND originator_version = 1
