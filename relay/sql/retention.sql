-- name: forget
-- Deletes a batch of webhooks that are done with and were kept for their time; how many.
SELECT forget_webhooks(%s, %s)
