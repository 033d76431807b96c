"""Build a wheel whose only top-level package is `hubel`; pyproject.toml has everything else.

    app, training, model  ->  hubel/code/app, hubel/code/training, hubel/code/model

An editable install is left as it is: it puts the repository on the path.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
ENTRY = "hubel"
CODE = "hubel/code"


class BuildWheel(build_py):
    """Builds the packages, and moves all but the entry point's into one folder."""

    def run(self) -> None:
        """Build, then move."""
        super().run()
        if self.editable_mode:
            return
        built = Path(self.build_lib)
        code = built / CODE
        shutil.rmtree(code, ignore_errors=True)
        code.mkdir()
        for folder in built.iterdir():
            if folder.is_dir() and folder.name != ENTRY:
                folder.rename(code / folder.name)
        shutil.copytree(ROOT / "model", code / "model")


setup(cmdclass={"build_py": BuildWheel})
