-- name: count_arms
-- Adds changes of first attempts to the counts of experiments' arms. A customer's row is locked before an
-- arm's, each in the order of its key, so that two batches wait for each other and never deadlock.
WITH change AS (
    SELECT c.*, c.approved + c.declined + c.failed AS decided,
        coalesce(p.customer_id, p.payment_id::text) AS unit
    FROM json_to_recordset(%s::json) AS c (
        payment_id uuid, merchant_id text, experiment_id text, definition text, policy_version integer, arm text,
        assigned integer, approved integer, declined integer, failed integer,
        priced integer, cost_ppm bigint, latency_ms bigint, latencies integer
    )
    JOIN payments p ON p.payment_id = c.payment_id
), of_unit AS (
    SELECT merchant_id, experiment_id, definition, arm, unit, max(policy_version) AS policy_version,
        sum(decided)::integer AS decided, sum(approved)::integer AS approved,
        -- Of a customer's payments in one batch any may be the first: their ids do not depend on the outcome.
        (array_agg(approved > 0 ORDER BY payment_id) FILTER (WHERE decided > 0))[1] AS first_approved,
        sum(priced)::integer AS priced, sum(cost_ppm)::bigint AS cost_ppm
    FROM change GROUP BY merchant_id, experiment_id, definition, arm, unit
), unit AS (
    INSERT INTO experiment_units AS u
        (merchant_id, experiment_id, definition, arm, unit, decided, approved, first_approved, priced, cost_ppm)
    SELECT merchant_id, experiment_id, definition, arm, unit, decided, approved, first_approved, priced, cost_ppm FROM of_unit
    ORDER BY merchant_id, experiment_id, definition, arm, unit
    ON CONFLICT (merchant_id, experiment_id, definition, arm, unit) DO UPDATE SET
        decided = u.decided + excluded.decided,
        approved = u.approved + excluded.approved,
        first_approved = coalesce(u.first_approved, excluded.first_approved),
        priced = u.priced + excluded.priced,
        cost_ppm = u.cost_ppm + excluded.cost_ppm
    RETURNING new.merchant_id, new.experiment_id, new.definition, new.arm, new.unit,
        (old.merchant_id IS NULL)::integer AS customers,
        (new.decided > 0)::integer - (coalesce(old.decided, 0) > 0)::integer AS decided_customers,
        (new.first_approved IS TRUE)::integer - (old.first_approved IS TRUE)::integer AS first_approved,
        (new.first_approved IS FALSE)::integer - (old.first_approved IS FALSE)::integer AS first_not_approved,
        (new.priced > 0)::integer - (coalesce(old.priced, 0) > 0)::integer AS priced_customers,
        new.decided::numeric ^ 2 - coalesce(old.decided, 0)::numeric ^ 2 AS decided_squares,
        new.decided::numeric * new.approved - coalesce(old.decided::numeric * old.approved, 0) AS decided_approved,
        new.approved::numeric ^ 2 - coalesce(old.approved, 0)::numeric ^ 2 AS approved_squares,
        new.priced::numeric ^ 2 - coalesce(old.priced, 0)::numeric ^ 2 AS priced_squares,
        new.priced::numeric * new.cost_ppm - coalesce(old.priced::numeric * old.cost_ppm, 0) AS priced_cost,
        new.cost_ppm::numeric ^ 2 - coalesce(old.cost_ppm, 0)::numeric ^ 2 AS cost_squares
), of_arm AS (
    SELECT merchant_id, experiment_id, definition, policy_version, arm, assigned, approved, declined, failed, priced, cost_ppm,
        latency_ms, latencies, 0 AS customers, 0 AS decided_customers, 0 AS first_approved, 0 AS first_not_approved,
        0 AS priced_customers, 0 AS decided_squares, 0 AS decided_approved, 0 AS approved_squares,
        0 AS priced_squares, 0 AS priced_cost, 0 AS cost_squares
    FROM change
    UNION ALL
    SELECT merchant_id, experiment_id, definition, of_unit.policy_version, arm, 0, 0, 0, 0, 0, 0, 0, 0, unit.customers,
        unit.decided_customers, unit.first_approved, unit.first_not_approved, unit.priced_customers,
        unit.decided_squares, unit.decided_approved, unit.approved_squares, unit.priced_squares, unit.priced_cost,
        unit.cost_squares
    FROM unit JOIN of_unit USING (merchant_id, experiment_id, definition, arm, unit)
)
INSERT INTO experiment_arms AS a (
    merchant_id, experiment_id, definition, policy_version, arm, assigned, approved, declined, failed, priced, cost_ppm,
    latency_ms, latencies, customers, decided_customers, first_approved, first_not_approved, priced_customers,
    decided_squares, decided_approved, approved_squares, priced_squares, priced_cost, cost_squares
)
SELECT merchant_id, experiment_id, definition, policy_version, arm, sum(assigned), sum(approved), sum(declined), sum(failed),
    sum(priced), sum(cost_ppm), sum(latency_ms), sum(latencies), sum(customers), sum(decided_customers),
    sum(first_approved), sum(first_not_approved), sum(priced_customers), sum(decided_squares),
    sum(decided_approved), sum(approved_squares), sum(priced_squares), sum(priced_cost), sum(cost_squares)
FROM of_arm GROUP BY merchant_id, experiment_id, definition, policy_version, arm
ORDER BY merchant_id, experiment_id, definition, policy_version, arm
ON CONFLICT (merchant_id, experiment_id, definition, policy_version, arm) DO UPDATE SET
    assigned = a.assigned + excluded.assigned,
    approved = a.approved + excluded.approved,
    declined = a.declined + excluded.declined,
    failed = a.failed + excluded.failed,
    priced = a.priced + excluded.priced,
    cost_ppm = a.cost_ppm + excluded.cost_ppm,
    latency_ms = a.latency_ms + excluded.latency_ms,
    latencies = a.latencies + excluded.latencies,
    customers = a.customers + excluded.customers,
    decided_customers = a.decided_customers + excluded.decided_customers,
    first_approved = a.first_approved + excluded.first_approved,
    first_not_approved = a.first_not_approved + excluded.first_not_approved,
    priced_customers = a.priced_customers + excluded.priced_customers,
    decided_squares = a.decided_squares + excluded.decided_squares,
    decided_approved = a.decided_approved + excluded.decided_approved,
    approved_squares = a.approved_squares + excluded.approved_squares,
    priced_squares = a.priced_squares + excluded.priced_squares,
    priced_cost = a.priced_cost + excluded.priced_cost,
    cost_squares = a.cost_squares + excluded.cost_squares

-- name: count_volumes
-- Adds changes of approved charges to the days of their accounts, in the order of the key.
INSERT INTO account_volumes AS v (merchant_id, account, currency, day, payments, amount_minor)
SELECT o.merchant_id, o.account, o.currency, c.day, sum(c.payments), sum(c.amount_minor)
FROM json_to_recordset(%s::json) AS c (operation_id text, day date, payments integer, amount_minor bigint)
JOIN operations o ON o.operation_id = c.operation_id
GROUP BY o.merchant_id, o.account, o.currency, c.day
ORDER BY o.merchant_id, o.account, o.currency, c.day
ON CONFLICT (merchant_id, account, currency, day) DO UPDATE SET
    payments = v.payments + excluded.payments,
    amount_minor = v.amount_minor + excluded.amount_minor
