-- name: of_month
-- What each account charged since a month began; zeros where it charged in the month before and not since.
SELECT merchant_id, account, currency, coalesce(sum(payments) FILTER (WHERE day >= %(first)s), 0),
    coalesce(sum(amount_minor) FILTER (WHERE day >= %(first)s), 0)
FROM account_volumes WHERE day >= %(first)s - interval '1 month'
GROUP BY merchant_id, account, currency ORDER BY merchant_id, account, currency

-- name: course
-- What a commitment's account charged since its first day, all accounts in that time, all of them recently, and
-- a day of any before the recent ones, or else their first. A commitment without a currency counts payments, in
-- all currencies. Days before both are not read, but for one: their number grows for ever.
WITH days AS (
    SELECT account, day,
        CASE WHEN %(currency)s::text IS NULL THEN payments ELSE amount_minor END AS volume
    FROM account_volumes
    WHERE merchant_id = %(merchant_id)s AND (%(currency)s::text IS NULL OR currency = %(currency)s)
        AND day >= least(%(since)s::date, %(recent)s::date)
)
SELECT coalesce(sum(volume) FILTER (WHERE day >= %(since)s AND account = %(account)s), 0),
    coalesce(sum(volume) FILTER (WHERE day >= %(since)s), 0),
    coalesce(sum(volume) FILTER (WHERE day >= %(recent)s), 0),
    least(min(day), (
        SELECT max(day) FROM account_volumes
        WHERE merchant_id = %(merchant_id)s AND (%(currency)s::text IS NULL OR currency = %(currency)s)
            AND day < %(recent)s
    ))
FROM days
