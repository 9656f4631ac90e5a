"""``python -m bench.proxy_faults``: faults behind the proxy under 32 mixed clients, and what they noticed.

Nothing may fail but blocks with 40001, which are tried again; in the end every acknowledged write is there, once.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
RESULTS = ROOT / "docs" / "results"


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m bench.proxy_faults", description=__doc__)
    made.add_argument("--kills", type=int, default=30, metavar="N", help="SIGKILLs of the primary [30]")
    made.add_argument("--freezes", type=int, default=0, metavar="N", help="SIGSTOPs of the primary [0]")
    made.add_argument("--switchovers", type=int, default=0, metavar="N", help="planned changes of the primary [0]")
    made.add_argument("--standbys", type=int, default=0, metavar="N", help="kills, and freezes, of a standby [0]")
    made.add_argument("--restarts", type=int, default=0, metavar="N", help="SIGKILLs of the proxy itself [0]")
    made.add_argument("--seed", type=int, default=1)
    made.add_argument(
        "--json", type=Path, metavar="FILE", help="where the report goes [docs/results/proxy-faults.json]"
    )
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    import pytest
    from support.proxy_drill import Drill

    options = parser().parse_args(arguments)
    counts = {
        "kill": options.kills, "freeze": options.freezes, "switchover": options.switchovers,
        "kill-standby": options.standbys, "freeze-standby": options.standbys, "restart-proxy": options.restarts,
    }  # fmt: skip
    directory = Path(tempfile.mkdtemp(prefix="proxy-faults-"))
    drill = Drill(directory, options.seed)
    try:
        report = drill.run(
            [name for name, count in counts.items() for _ in range(count)], lambda line: print(line, file=sys.stderr)
        )
    except (AssertionError, pytest.fail.Exception) as error:
        print(f"failed: {error}; see {directory}", file=sys.stderr)
        return 1
    record = report.record()
    print(json.dumps(record, indent=1))
    path = options.json or (RESULTS / "proxy-faults.json" if options.kills >= 30 else None)
    if path is not None:
        path.write_text(json.dumps(record, indent=2) + "\n")
    if report.is_clean:
        shutil.rmtree(directory)
        return 0
    print(f"see {directory}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
