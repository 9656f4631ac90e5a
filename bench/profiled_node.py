"""A node that watches itself: ``python -m bench.profiled_node MODE OUT start ...`` writes OUT when it ends."""

from __future__ import annotations

import cProfile
import io
import json
import pstats
import sys
from pathlib import Path

from bench.sampling import Sampler
from helios_cli.cli import main as cli_main


def main(arguments: list[str]) -> int:
    mode, out, *rest = arguments
    return _sample(Path(out), rest) if mode == "sample" else _trace(Path(out), rest)


def _sample(out: Path, arguments: list[str]) -> int:
    sampler = Sampler()
    sampler.start()
    try:
        return cli_main(arguments)
    finally:
        out.write_text(json.dumps(sampler.stop().record()))


def _trace(out: Path, arguments: list[str]) -> int:
    """Under cProfile: exact counts of the main thread, its times swollen by the tracing."""
    profile = cProfile.Profile()
    try:
        return int(profile.runcall(cli_main, arguments))
    finally:
        text = io.StringIO()
        statistics = pstats.Stats(profile, stream=text)
        statistics.strip_dirs().sort_stats("tottime").print_stats(60)
        out.write_text(text.getvalue())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
