-- name: open
-- Disputes that are not over, of all merchants: the one with the earliest deadline comes first.
-- The condition on p.disputes is the one of the index payments_disputed.
SELECT p.payment_id, p.merchant_id, coalesce(o.gateway, p.gateway) AS gateway, o.account, d.*
FROM payments p
CROSS JOIN LATERAL jsonb_to_recordset(p.disputes) AS d (
    dispute_id text, state text, amount_minor bigint, currency text, reason text, respond_by timestamptz,
    reported_at timestamptz, operation_id text
)
LEFT JOIN operations o ON o.operation_id = d.operation_id
WHERE p.disputes @? '$[*] ? (@.state == "inquiry" || @.state == "opened" || @.state == "unclear")'
    AND d.state IN ('inquiry', 'opened', 'unclear')
ORDER BY d.respond_by NULLS LAST, d.reported_at, d.dispute_id LIMIT %s
