-- name: page
-- A merchant's payments that a fraud hook holds, the longest held first.
SELECT payment_id, merchant_id, amount_minor, currency, customer_id, decision AS reason, held_since, expires_at
FROM payments
WHERE held_since IS NOT NULL AND merchant_id = %(merchant_id)s
    AND (held_since, payment_id) > (%(after)s, %(payment_id)s)
ORDER BY held_since, payment_id LIMIT %(limit)s

-- name: oldest
-- The payments of all merchants that a fraud hook holds, the longest held first.
SELECT payment_id, merchant_id, amount_minor, currency, customer_id, decision AS reason, held_since, expires_at
FROM payments
WHERE held_since IS NOT NULL
ORDER BY held_since, payment_id LIMIT %(limit)s
