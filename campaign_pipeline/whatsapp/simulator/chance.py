"""Seeded chance: what looks random in the simulator and is the same in every run.

Add here a new way to draw from a seed. Keep out what is done with the draw: statuses.py and faults.py decide that.
"""

import hashlib

_DRAW_BYTES = 7  # shifted down to 53 bits, all that a float holds: a draw never rounds up to 1.0


def draw(seed: int, *about: str | int) -> float:
    """Draws a number that depends on nothing but its arguments.

    A hash instead of a generator: the order in which parallel requests arrive cannot change anyone's outcome.

    Args:
        seed: the simulator's seed.
        about: what the draw is for, such as `"read"` and a wamid.

    Returns:
        A number from 0 up to, but not including, 1.
    """
    question = "\x1f".join(str(part) for part in (seed, *about))
    digest = hashlib.sha256(question.encode()).digest()[:_DRAW_BYTES]
    return (int.from_bytes(digest) >> 3) / (1 << (8 * _DRAW_BYTES - 3))
