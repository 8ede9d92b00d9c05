"""The one option of every benchmark: `--quick` for a look at whether it works; its figures mean little."""

import argparse


def is_quick(description: str | None) -> bool:
    """Reads the command line; `description` is the benchmark's own docstring."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes, few rounds")
    return bool(parser.parse_args().quick)
