"""Write boards and rules into the chart: ``python -m boards [DIRECTORY]``."""

import sys
from pathlib import Path

from boards.files import write

if __name__ == "__main__":
    write(Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).parents[2] / "contimg" / "files")
