-- name: read_only
-- Lets this session change nothing.
SET default_transaction_read_only TO on

-- name: streams
-- The events of these payments, each payment's oldest first.
SELECT originator_id, originator_version, topic, state FROM payment_events
WHERE originator_id = ANY(%s) ORDER BY originator_id, originator_version

-- name: newest
-- The merchant's newest payments among the newest of the installation. It reads the log's index from its end, and
-- at most `scanned` payments, so that the cost does not grow with what is stored.
SELECT newest.originator_id FROM (
    SELECT originator_id, generation, tx, notification_id FROM payment_events WHERE originator_version = 1
    ORDER BY generation DESC, tx DESC, notification_id DESC LIMIT %(scanned)s
) newest JOIN payments p ON p.payment_id = newest.originator_id
WHERE p.merchant_id = %(merchant)s
ORDER BY newest.generation DESC, newest.tx DESC, newest.notification_id DESC LIMIT %(last)s
