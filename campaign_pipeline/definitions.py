"""The front door: everything Dagster loads, from `dagster dev`, `dg dev`, workspace.yaml and the tests alike.

This module stays as light as this; what is composed, and how, stands in `orchestration.build`.
"""

import dagster as dg

from campaign_pipeline.orchestration.build import build_definitions


@dg.definitions
def defs() -> dg.Definitions:
    """The production definitions; made when Dagster asks for them, so that importing this reads nothing."""
    return build_definitions()
