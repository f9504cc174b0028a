-- name: arms
-- The counts of an experiment's arms under one definition, over all versions of the policy.
SELECT arm, sum(assigned) AS assigned, sum(approved) AS approved, sum(declined) AS declined, sum(failed) AS failed,
    sum(priced) AS priced, sum(cost_ppm) AS cost_ppm, sum(latency_ms) AS latency_ms, sum(latencies) AS latencies,
    sum(customers) AS customers, sum(decided_customers) AS decided_customers,
    sum(first_approved) AS first_approved, sum(first_not_approved) AS first_not_approved,
    sum(priced_customers) AS priced_customers, sum(decided_squares) AS decided_squares,
    sum(decided_approved) AS decided_approved, sum(approved_squares) AS approved_squares,
    sum(priced_squares) AS priced_squares, sum(priced_cost) AS priced_cost, sum(cost_squares) AS cost_squares
FROM experiment_arms WHERE merchant_id = %s AND experiment_id = %s AND definition = %s
GROUP BY arm ORDER BY arm

-- name: counted_before
-- The payments of an experiment under other definitions.
SELECT coalesce(sum(assigned), 0) FROM experiment_arms
WHERE merchant_id = %s AND experiment_id = %s AND definition <> %s
