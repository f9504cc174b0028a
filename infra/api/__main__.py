import asyncio

import uvloop

from infra.api.process import main
from infra.process import run
from infra.settings import ApiSettings

# It writes an answer's head and body in one system call: a third less time for a small answer.
asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
run("api", ApiSettings, main)
