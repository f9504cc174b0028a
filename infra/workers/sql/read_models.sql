-- name: plan_by_index
-- Has this session read by index alone, as a plan that was made while the tables were small would read them
-- whole until they are analyzed.
SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off
