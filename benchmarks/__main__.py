"""`python -m benchmarks`: run the benchmarks and print, or write, their tables."""

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from benchmarks.measuring import THREADS, machine


def main() -> None:
    """Run what the command line names."""
    os.environ.update(THREADS)  # before anything that starts threads is imported
    from benchmarks import inspection, rotations, runs, searches, tiles  # noqa: PLC0415
    from benchmarks.peers import peers_python  # noqa: PLC0415

    benchmarks = {
        **rotations.BENCHMARKS,
        **inspection.BENCHMARKS,
        **runs.BENCHMARKS,
        **searches.BENCHMARKS,
        **tiles.BENCHMARKS,
    }
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
    measured = f"Measured on {machine()}; medians of {arguments.repeats} alternating rounds where there are rounds.\n"
    tables = {}
    for name in arguments.names or benchmarks:
        for table in benchmarks[name](python, tiny=arguments.tiny, repeats=arguments.repeats):
            tables[table.title] = f"{table.to_markdown()}\n{measured}"
            print(tables[table.title], flush=True)
            if arguments.write is not None:  # the next one may take an hour
                _write(arguments.write, tables)


def _write(path: Path, tables: Mapping[str, str]) -> None:
    """Put tables between the markers of a file, in place of those with the same title; or write the file."""
    begin, end = "<!-- begin: python -m benchmarks -->", "<!-- end: python -m benchmarks -->"
    text = path.read_text() if path.exists() else f"{begin}\n{end}\n"
    if begin not in text or end not in text:
        sys.exit(f"{path}: the markers {begin} and {end} are missing")
    head, rest = text.split(begin, 1)
    before, tail = rest.split(end, 1)
    parts = [part.strip() for part in before.split("### ")[1:]]
    held = {part.partition("\n")[0]: f"### {part}\n" for part in parts}
    path.write_text("\n".join([f"{head}{begin}\n", *{**held, **tables}.values(), f"{end}{tail}"]))


if __name__ == "__main__":
    main()
