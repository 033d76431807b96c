"""The installed command: find Hubel's code, put it on the path, and start the command line.

In the repository the code is `app` and `training`, beside this package. In a wheel it is
`hubel/code`, so that no package with such a common name is installed for everyone.
"""

import sys
from pathlib import Path


def add_code_to_path() -> None:
    """Put Hubel's modules on the path, before others of the same name."""
    here = Path(__file__).resolve().parent
    installed = here / "code"
    folder = str(installed if installed.is_dir() else here.parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)


def main() -> None:
    """Run the command line."""
    add_code_to_path()
    from app.cli import main as run

    run()
