"""The most memory that a process held, by the system's own account of it.

`ru_maxrss` would not do: a process that is started inherits what its parent held. Where there is no /proc, 0.
"""

# An expression for a program of its own, in kilobytes.
PEAK = "next((int(line.split()[1]) for line in open('/proc/self/status') if line.startswith('VmHWM')), 0)"
