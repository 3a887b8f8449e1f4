"""The most memory that the process has held since a moment, as the operating system counts it."""

import resource
import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


def reset_peak() -> None:
    """Starts the peak anew, where the system can (Linux); elsewhere it stays that of the whole process."""
    if _CLEAR.exists():
        _CLEAR.write_text("5")  # 5: reset the peak resident set size, see proc(5)


def peak_bytes() -> int:
    """Peak resident set size in bytes."""
    if _STATUS.exists():
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
