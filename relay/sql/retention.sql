-- name: forget
-- Deletes a batch of webhooks that are done with and were kept for their time; how many.
SELECT forget_webhooks(%s, %s)

-- name: forget_declines
-- Deletes a batch of declines that no limit on retries counts any more; how many.
SELECT forget_declines(%s, %s)
