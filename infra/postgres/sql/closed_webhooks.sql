-- name: close
-- Closes an unmatched webhook, and returns the first closing of it.
SELECT webhook_id, payment_id, account, event_id, who, reason, evidence, closed_at
FROM close_webhook(%(webhook_id)s, %(about)s, %(who)s, %(reason)s, %(evidence)s)
