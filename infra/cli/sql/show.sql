-- name: newest
-- The newest payments. It reads the log's index from its end, so that the cost does not grow with what is stored.
SELECT first.originator_id AS payment_id, coalesce(p.status, 'NOT_SHOWN_YET') AS status, p.merchant_id,
    p.amount_minor, p.currency, p.customer_id, p.reason, p.frozen, p.created_at
FROM (
    SELECT originator_id, generation, tx, notification_id FROM payment_events WHERE originator_version = 1
    ORDER BY generation DESC, tx DESC, notification_id DESC LIMIT %s
) first LEFT JOIN payments p ON p.payment_id = first.originator_id AND p.version > 0
ORDER BY first.generation DESC, first.tx DESC, first.notification_id DESC
