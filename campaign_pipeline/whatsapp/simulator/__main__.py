"""The simulator on the command line: every option of SimulatorOptions under the same name.

Add nothing here for a new option with a plain type: it appears by itself. Keep out what the simulator does.
"""

import argparse
from dataclasses import MISSING, fields
from typing import get_type_hints

from campaign_pipeline.whatsapp.simulator.server import SimulatorOptions, run


def _fault_share(text: str) -> tuple[str, float]:
    kind, _, share = text.partition("=")
    return kind, float(share)


def parse_options(arguments: list[str] | None = None) -> SimulatorOptions:
    """Reads the command line.

    Args:
        arguments: the words after the program's name; None takes them from the process.

    Returns:
        The options of the simulator to start.
    """
    parser = argparse.ArgumentParser(
        prog="campaign_pipeline.whatsapp.simulator",
        description="A local WhatsApp Cloud API. Times are in seconds, shares between 0 and 1.",
    )
    types = get_type_hints(SimulatorOptions)
    for option in fields(SimulatorOptions):
        if option.name == "fault_shares":
            continue
        required = option.default is MISSING
        parser.add_argument(
            f"--{option.name.replace('_', '-')}",
            type=types[option.name],
            required=required,
            default=None if required else option.default,
            help="required" if required else f"default: {option.default}",
        )
    parser.add_argument(
        "--fault-share",
        dest="fault_shares",
        metavar="KIND=SHARE",
        type=_fault_share,
        action="append",
        default=[],
        help="may be repeated; for instance lost_answer=0.01",
    )
    chosen = vars(parser.parse_args(arguments))
    chosen["fault_shares"] = dict(chosen["fault_shares"])
    try:
        return SimulatorOptions(**chosen)
    except ValueError as problem:
        parser.error(str(problem))


if __name__ == "__main__":
    run(parse_options())
