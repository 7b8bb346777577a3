"""`python -m benchmarks`: run the benchmarks and print, or write, their tables."""

import argparse
import os
import sys
from pathlib import Path

from benchmarks.measuring import THREADS, machine


def main() -> None:
    """Run what the command line names."""
    os.environ.update(THREADS)  # before anything that starts threads is imported
    from benchmarks import inspection, rotations, runs, searches  # noqa: PLC0415
    from benchmarks.peers import peers_python  # noqa: PLC0415

    benchmarks = {**rotations.BENCHMARKS, **inspection.BENCHMARKS, **runs.BENCHMARKS, **searches.BENCHMARKS}
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(benchmarks)}; default: all")
    parser.add_argument("--repeats", type=int, default=7, help="rounds that are counted (default 7)")
    parser.add_argument("--tiny", action="store_true", help="tiny sizes, to see that everything runs")
    parser.add_argument("--no-peers", action="store_true", help="leave the other programs out")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the tables into a Markdown file")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in benchmarks]
    if unknown:
        parser.error(f"{unknown[0]}: not known; use {', '.join(benchmarks)}")
    python = None if arguments.no_peers else peers_python()
    parts = [f"Measured on {machine()}; medians of {arguments.repeats} alternating rounds.\n"]
    for name in arguments.names or benchmarks:
        for table in benchmarks[name](python, tiny=arguments.tiny, repeats=arguments.repeats):
            parts.append(table.to_markdown())
            print(parts[-1], flush=True)
    if arguments.write is not None:
        _write(arguments.write, "\n".join(parts))


def _write(path: Path, tables: str) -> None:
    """Replace what stands between the markers of a file, or write the file."""
    begin, end = "<!-- begin: python -m benchmarks -->", "<!-- end: python -m benchmarks -->"
    text = path.read_text() if path.exists() else f"{begin}\n{end}\n"
    if begin not in text or end not in text:
        sys.exit(f"{path}: the markers {begin} and {end} are missing")
    head, rest = text.split(begin, 1)
    path.write_text(f"{head}{begin}\n\n{tables}\n{end}{rest.split(end, 1)[1]}")


if __name__ == "__main__":
    main()
