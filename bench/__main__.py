"""Runs every benchmark in a process of its own, so that none inherits another's memory, threads or open files.

`python -m bench [--quick]`; options go on to each. One that fails is named, and the others still run.
"""

import subprocess
import sys

BENCHES = ("embedded_log", "core", "edge", "agents", "latency", "requests")


def main() -> int:
    failed = [
        name
        for name in BENCHES
        if subprocess.run([sys.executable, "-m", f"bench.{name}", *sys.argv[1:]], check=False).returncode
    ]
    for name in failed:
        print(f"bench.{name} failed", file=sys.stderr)
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
