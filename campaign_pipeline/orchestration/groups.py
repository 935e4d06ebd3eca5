"""What assets have in common: their groups in the order of the lineage, and who owns them.

Keep out the assets themselves.
"""

from typing import Final

import dagster as dg

RECIPIENTS: Final = "recipients"
SENDING: Final = "sending"
DELIVERY: Final = "delivery"

MARKETING: Final = "team:marketing"
DATA_ENGINEERING: Final = "team:data-engineering"

LEDGER_VERSION: Final = dg.DataVersion("ledger")
"""The data version of every asset without a date: a new list or status file makes no date stale."""

ANALYTICS_TAGS: Final = {
    "dagster/data_version": LEDGER_VERSION.value,
    "dagster/code_version": LEDGER_VERSION.value,
    "dagster/input_data_version/delivery_statuses": LEDGER_VERSION.value,
    "dagster/input_event_pointer/delivery_statuses": "NULL",
}
"""For analytics that another asset's run reports. Dagster notes what a materialization was made from only for a run's
own asset; without that it compares times, and each later status file would make every date stale."""
