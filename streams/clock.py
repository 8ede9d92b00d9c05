"""The wall clock of the shell. The core never reads it: time reaches it in records."""

import time


def now_ms() -> int:
    """Since the epoch, as in `received_ms`."""
    return int(time.time() * 1000)
