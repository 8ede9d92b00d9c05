"""Benchmarks: `make bench`, or one of them: `python -m bench.edge`. Each compares with a baseline in the same run."""
