from infra.api.process import main
from infra.process import run
from infra.settings import ApiSettings

run("api", ApiSettings, main)
