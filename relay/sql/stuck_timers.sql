-- name: mark_stuck
-- Marks the timer that a wake was sent for; a row that was moved since is another timer.
UPDATE payment_timers SET stuck_since = clock_timestamp()
WHERE payment_id = %s AND wake_at = %s AND stuck_since IS NULL
