"""Write the page about a comparison of two versions: index.html, one file that opens offline."""

from pathlib import Path

from app.jobs.comparison import Comparison
from training.report.template import style, template

INDEX = "index.html"
HEADINGS = {
    "better": "is better",
    "not_worse": "is not worse",
    "worse": "is worse",
    "not_comparable": "can't be judged yet",
}


def write(comparison: Comparison, model: str, folder: Path) -> Path:
    """Write the page into `folder`, which is created if it is missing, and return its file."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / INDEX
    text = template("comparison.html").render(
        style=style(),
        model=model,
        comparison=comparison,
        heading=HEADINGS[comparison.verdict],
        is_share=comparison.measure == "accuracy",
    )
    file.write_bytes(text.encode("utf-8", "backslashreplace"))
    return file
