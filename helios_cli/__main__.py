"""``python -m helios_cli``: the same as ``heliosdb-nano``."""

import sys

from helios_cli.cli import main

if __name__ == "__main__":
    sys.exit(main())
