"""`python -m nanoscope`, the same as the command `nanoscope`."""

import sys

from nanoscope import main

if __name__ == "__main__":
    sys.exit(main())
