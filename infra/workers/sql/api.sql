-- name: prepare_session
-- Times are shown in UTC, and a query that hangs ends.
SET TimeZone TO 'UTC'; SET statement_timeout TO '5s'
