-- name: close
-- Closes an unmatched webhook, and returns the first closing of it.
SELECT webhook_id, payment_id, account, event_id, who, why, evidence, closed_at
FROM close_webhook(%(webhook_id)s, %(about)s, %(who)s, %(why)s, %(evidence)s)
