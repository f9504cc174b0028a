-- name: open
-- What is open at accounts that are not named: operations without an end, and webhooks that wait.
-- By the partial indexes operations_open and webhooks_in_due: they hold what is open, and nothing of what has
-- ended.
SELECT account, sum(operations)::int AS operations, sum(webhooks)::int AS webhooks FROM (
    SELECT account, count(*) AS operations, 0 AS webhooks FROM operations
    WHERE state IN ('STARTED', 'UNREACHED', 'UNKNOWN', 'PENDING', 'ACTION_REQUIRED') AND account <> ALL(%(named)s)
    GROUP BY account
    UNION ALL
    SELECT account, 0, count(*) FROM webhooks_in
    WHERE state = 'waiting' AND next_try_at IS NOT NULL AND account <> ALL(%(named)s)
    GROUP BY account
) open GROUP BY account ORDER BY account
