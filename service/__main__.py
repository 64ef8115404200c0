"""`python -m service` is the `handrail` command."""

from service.command import run

run()
