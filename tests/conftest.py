"""What every test stands on: how Hypothesis runs, on a machine of which a test may have a fraction."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# A machine that does something else for a moment makes an example slow, and says nothing of what it shows.
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")
