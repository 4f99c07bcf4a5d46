"""The most memory that this process ever held. Not ru_maxrss: Linux lets a process begin with the peak of the one that
started it (scripts/lib/peak.mjs)."""

import re
import resource


def peak_megabytes():
    try:
        with open("/proc/self/status") as status:
            kilobytes = int(re.search(r"^VmHWM:\s+(\d+) kB", status.read(), re.M)[1])
    except OSError:
        kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes / 1024
