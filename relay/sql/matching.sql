-- name: started
-- Operation id, gateway and account of every operation of these payments.
-- An operation has its started event before its PSP hears of it, and the account in it never changes.
SELECT state ->> 'operation_id', state ->> 'gateway', state ->> 'account' FROM (
    SELECT convert_from(state, 'UTF8')::jsonb AS state FROM payment_events
    WHERE originator_id = ANY(%s) AND topic = 'operation.started.v1'
) started

-- name: by_psp_id
-- The operations that these accounts know under these ids of the PSP.
SELECT account, psp_id, payment_id, operation_id
FROM gateway_ids JOIN unnest(%s::text[], %s::text[]) AS received (account, psp_id) USING (account, psp_id)
