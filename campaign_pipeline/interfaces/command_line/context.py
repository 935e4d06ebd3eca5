"""How a command gets at what it works with.

Keep out what that is: `interfaces.workplace`.
"""

import typer

from campaign_pipeline.interfaces.workplace import Workplace

__all__ = ["Workplace", "workplace_of"]


def workplace_of(ctx: typer.Context) -> Workplace:
    """The workplace of the command that runs."""
    return ctx.ensure_object(Workplace)
