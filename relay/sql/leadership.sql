-- name: limit_silence
-- Has the server end this session after so long a silence, and commit its writes without waiting for the disk.
-- idle_session_timeout serves for a leader that is stopped between two statements; tcp_user_timeout for one
-- stopped in the middle of a page: its session is not idle, the server waits to write. A move of the cursor that
-- the server loses in a crash costs duplicates only.
SELECT set_config('idle_session_timeout', %(silence)s, false), set_config('tcp_user_timeout', %(silence)s, false),
       set_config('synchronous_commit', 'off', false)
