"""The simulator on the command line: every option of SimulatorOptions under the same name.

Add nothing here for a new option with a plain type or None: it appears by itself. Keep out what the simulator does.
"""

import argparse
from collections.abc import Callable
from dataclasses import MISSING, fields
from types import NoneType
from typing import Any, get_args, get_type_hints

from campaign_pipeline.whatsapp.simulator.server import SimulatorOptions, run


def _fault_share(text: str) -> tuple[str, float]:
    kind, _, share = text.partition("=")
    return kind, float(share)


def _reader_of(kind: Any) -> Callable[[str], object]:  # noqa: ANN401 - a type, or a union of one with None
    """What reads an option of this type; None is the option left out, so it has no spelling."""
    kind = next((each for each in get_args(kind) if each is not NoneType), kind)
    return _truth if kind is bool else kind


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false.")
    return text.lower() == "true"


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
        on_or_off = types[option.name] is bool
        parser.add_argument(
            f"--{option.name.replace('_', '-')}",
            type=_reader_of(types[option.name]),
            required=required,
            default=None if required else option.default,
            # The bare name of an option that is on or off turns it on.
            nargs="?" if on_or_off else None,
            const=True if on_or_off else None,
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
