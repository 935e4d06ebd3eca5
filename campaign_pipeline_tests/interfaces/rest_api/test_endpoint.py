"""What is true of every endpoint, read off how it is declared."""

from typing import Final

from campaign_pipeline.interfaces.rest_api.app import ROUTERS
from campaign_pipeline.interfaces.rest_api.endpoint import MANY, Terms

THREADS: Final = 40
"""Starlette's, for all requests of a process."""


def test_whatever_takes_long_leaves_threads_to_others() -> None:
    """Forty exports at once, and nobody can pause a campaign."""
    terms = [getattr(route, "terms", None) for router in ROUTERS for route in router.routes]
    slow = [each.at_once for each in terms if isinstance(each, Terms) and each.at_once != MANY]
    assert len(slow) >= 7
    assert sum(slow) <= 3 * THREADS // 4
