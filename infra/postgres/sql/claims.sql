-- name: claim
-- Claims a group of steps: a new row, or one try more of an open row whose key ($2, its life in s) still
-- lives. A row that is proposed as closed comes from a request that is past its expires_at; $3 is its result.
-- In READ COMMITTED, ON CONFLICT waits for a statement that has the row, and tests its WHERE on the row as
-- that one left it. So of two claims at once the second counts as a repeat, and none passes a close.
INSERT INTO gateway_sends AS sent (operation_id, step, state, tries, first_try_at, last_try_at, result)
SELECT operation_id, step,
       CASE WHEN now < expires_at THEN 'open' ELSE 'closed' END,
       CASE WHEN now < expires_at THEN 1 ELSE 0 END,
       CASE WHEN now < expires_at THEN now END,
       CASE WHEN now < expires_at THEN now END,
       CASE WHEN now >= expires_at THEN $3::jsonb END
FROM json_to_recordset($1::json) AS steps (operation_id text, step text, expires_at timestamptz), (SELECT clock_timestamp() AS now) AS clock
ORDER BY operation_id, step
ON CONFLICT (operation_id, step) DO UPDATE
    -- The time is taken after the wait for the row's lock: from before it, a lookup would count a try as
    -- older than it is, and take "not found" for proof too soon.
    SET tries = sent.tries + 1, last_try_at = clock_timestamp()
    WHERE sent.state = 'open' AND excluded.state = 'open'
      AND ($2::double precision IS NULL
           OR clock_timestamp() < sent.first_try_at + make_interval(secs => $2::double precision))
RETURNING operation_id, step, state, tries, first_try_at, last_try_at, result

-- name: read
-- The rows of the steps that could not be claimed.
SELECT operation_id, step, state, tries, first_try_at, last_try_at, result
FROM json_to_recordset($1::json) AS steps (operation_id text, step text) JOIN gateway_sends USING (operation_id, step)

-- name: close
-- Closes a group of steps with their results.
-- There is a row always; `tries` of the proposed one shows how often the step may have been sent for this
-- result to close it. 32767, the largest smallint, is any number.
INSERT INTO gateway_sends AS sent (operation_id, step, state, tries, result)
SELECT operation_id, step, 'closed', tries_max, result
FROM json_to_recordset($1::json) AS steps (operation_id text, step text, tries_max smallint, result jsonb)
ORDER BY operation_id, step
ON CONFLICT (operation_id, step) DO UPDATE
    SET state = 'closed', result = excluded.result
    -- A step that a query closed meanwhile still takes the result of the call that was under way: its result
    -- is NULL, or records only that the step goes on. A final result is never replaced.
    WHERE CASE WHEN excluded.tries < 32767 THEN sent.state = 'open' AND sent.tries <= excluded.tries
               ELSE sent.result IS NULL OR sent.result ->> 'kind' IN ('PENDING', 'ACTION_REQUIRED') END
RETURNING operation_id, step

-- name: withdraw
-- Takes back claims of which nothing was sent.
-- A row with one try belongs to the claim that made it: any other claim would have counted. Locked in the
-- order of steps, as the other statements lock them.
WITH only_tries AS (
    SELECT sent.operation_id, sent.step
    FROM json_to_recordset($1::json) AS steps (operation_id text, step text) JOIN gateway_sends AS sent USING (operation_id, step)
    WHERE sent.state = 'open' AND sent.tries = 1
    ORDER BY sent.operation_id, sent.step FOR UPDATE OF sent
)
DELETE FROM gateway_sends AS sent USING only_tries AS gone
WHERE sent.operation_id = gone.operation_id AND sent.step = gone.step
RETURNING sent.operation_id, sent.step

-- name: end
-- Closes a group of steps before they are queried or cancelled; $2 is the result of one that was never sent.
INSERT INTO gateway_sends AS sent (operation_id, step, state, tries, result)
SELECT operation_id, step, 'closed', 0, $2::jsonb FROM json_to_recordset($1::json) AS steps (operation_id text, step text)
ORDER BY operation_id, step
-- The result of an open row stays NULL: it was tried, and only the PSP knows how that ended.
ON CONFLICT (operation_id, step) DO UPDATE SET state = 'closed'
RETURNING operation_id, step, state, tries, first_try_at, last_try_at, result, clock_timestamp()
