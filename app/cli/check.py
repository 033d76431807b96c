"""`hubel check`: verify a bundle as the service does at start, in every precision."""

from pathlib import Path

import click

from app.cli.exit_codes import expected_errors
from app.cli.options import FOLDER


@click.command()
@click.argument("bundle", type=FOLDER)
def check(bundle: Path) -> None:
    """Verify the files, graphs and golden photos of BUNDLE, in every precision."""
    from app import bundle as bundles
    from app.runtime.session import Session
    from app.runtime.verify import check_signature, require_golden, run_golden

    with expected_errors():
        loaded = bundles.load(bundle)
        click.echo(f"schema      {loaded.manifest.name} version {loaded.manifest.version}")
        bundles.verify_files(loaded)
        click.echo(f"files       {len(loaded.manifest.files)} with the right sha256")
        for precision in loaded.manifest.precisions:
            session = Session(loaded.model_path(precision), "cpu", precision)
            check_signature(session, loaded)
            results = run_golden(session, loaded)
            for result in results:
                click.echo(
                    f"{precision:11} {result.file}: off by {result.difference:.1e}, "
                    f"{result.tolerance:.1e} allowed"
                )
            require_golden(results, session)
    click.echo("passed")
