"""`hubel duplicates`: list photos that are copies of each other, or show the same picture."""

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.cli.exit_codes import WrongUsage, cleanup_on_sigterm, expected_errors
from app.cli.options import PATH, skipped_option

if TYPE_CHECKING:
    from training.data.duplicate_groups import Duplicates, Group

_COLUMNS = ("group", "kind", "path", "similarity", "width", "height", "sha256")


@click.command()
@click.argument("paths", nargs=-1, required=True, type=PATH)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="CSV file for the groups, with a row for each photo. Unset: they are printed.",
)
@skipped_option
@cleanup_on_sigterm()
def duplicates(paths: tuple[Path, ...], output: Path | None, skipped_file: Path | None) -> None:
    """List photos that are copies of each other, or show the same picture.

    Copies have the same bytes; several paths or links to one file are no copies. Near duplicates
    were saved again, resized, made brighter or slightly cropped; the one with the most pixels comes
    first. Nothing is deleted. Small pictures of all photos take 50 kB each in the folder for
    temporary files meanwhile.
    """
    from app.cli.output_file import open_output, require_other_file, require_safe_output
    from app.cli.skipped import report_skipped
    from training.data.duplicate_groups import find_duplicates

    with expected_errors():
        require_other_file(skipped_file, output)
        found = [_find_photos(path) for path in paths]
        named = list(dict.fromkeys(photo for some, _ in found for photo in some))
        photos, repeats = _each_file_once(named)
        skipped = [path for _, some in found for path in some]
        require_safe_output(output, [*paths, *named])
        require_safe_output(skipped_file, [*paths, *named, *skipped], "--skipped")
        if not photos:
            raise WrongUsage(
                f"There are no photos in {', '.join(map(str, paths))}. Name photos or their "
                "folders."
            )
        result = find_duplicates(photos)
        if output is not None:
            with open_output(output) as out:
                _write_csv(result.groups, out)
        else:
            _print(result.groups)
        report_skipped(skipped, skipped_file, repeats)
    _report(result)


def _find_photos(path: Path) -> tuple[list[Path], list[Path]]:
    """Return the photos below `path`, or `path` itself if it is a file, and what is skipped."""
    from app.dataset.files import is_photo, list_below

    if not path.is_dir():
        return [path], []
    listing = list_below(path)
    photos = [file for file in listing.files if is_photo(file)]
    used = set(photos)
    skipped = [file for file in listing.files if file not in used]
    return photos, skipped + [entry for entry, _ in listing.skipped]


def _each_file_once(paths: list[Path]) -> tuple[list[Path], list[Path]]:
    """Return one path for each file on disk, if possible no link, and the other paths to them."""
    from app.cli.output_file import identity_of

    chosen: dict[object, Path] = {}
    for path in paths:
        identity = identity_of(path) or path
        if identity not in chosen or (chosen[identity].is_symlink() and not path.is_symlink()):
            chosen[identity] = path
    kept = set(chosen.values())
    return list(chosen.values()), [path for path in paths if path not in kept]


def _write_csv(groups: "tuple[Group, ...]", out: Any) -> None:
    from app.bulk.rows import printable

    writer = csv.writer(out)
    writer.writerow(_COLUMNS)
    for number, group in enumerate(groups, 1):
        for each in group.members:
            writer.writerow(
                (
                    number,
                    group.kind,
                    printable(each.path),
                    f"{each.similarity:.4f}",
                    each.width,
                    each.height,
                    each.sha256,
                )
            )


def _print(groups: "tuple[Group, ...]") -> None:
    from app.bulk.rows import printable

    for group in groups:
        click.echo("copies" if group.kind == "copies" else "near duplicates")
        for each in group.members:
            click.echo(f"  {each.similarity:.2f}  {printable(each.path)}")


def _report(result: "Duplicates") -> None:
    """Say on standard error what was found."""
    from app.bulk.rows import printable

    copies = [len(group.members) for group in result.groups if group.kind == "copies"]
    near = [len(group.members) for group in result.groups if group.kind == "near"]
    click.echo(
        f"{result.photos} photos: {sum(copies)} are copies, in {len(copies)} groups; "
        f"{sum(near)} are near duplicates, in {len(near)} groups.",
        err=True,
    )
    if not result.can_compare:
        click.echo(
            "All photos are so alike that near duplicates can't be told from others.", err=True
        )
    for path, reason in result.unusable:
        click.echo(printable(f"{path} is left out: {reason}"), err=True)
