"""``python -m clouddeploy``: the command line."""

import sys

from clouddeploy.cli import main

if __name__ == "__main__":
    sys.exit(main())
