"""``python -m hpcda``: the same as the command ``hpcda``."""

import sys

from hpcda.cli import main

if __name__ == "__main__":
    sys.exit(main())
