import pytest

from training.errors import DataUnusable
from training.imagenet import labels


def test_imagenets_labels_are_a_thousand_readable_names_with_their_synsets():
    read = labels.read(labels.IMAGENET)
    names = [label.name for label in read]
    assert len({name.casefold() for name in names}) == len({label.id for label in read}) == 1000
    assert not any("_" in name or name != name.strip() for name in names)
    assert (read[0].name, read[0].id) == ("tench", "n01440764")


@pytest.mark.parametrize(
    ("index", "name"),
    [
        (134, "crane (bird)"),
        (517, "crane (machine)"),
        (638, "maillot"),
        (639, "maillot (tank suit)"),
        (264, "Cardigan Welsh corgi"),
        (474, "cardigan"),
    ],
)
def test_names_that_occur_twice_in_imagenet_are_made_unique(index, name):
    assert labels.read(labels.IMAGENET)[index].name == name


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("synset\tname\nn1\tCat\nn2\tcat\n", "'cat' occurs twice"),
        ("synset\tname\nn1\tcat\nn1\tdog\n", "'n1' occurs twice"),
        ("id\tname\nn1\tcat\n", "needs a `synset`"),
        ("synset\tname\nn1\n", "needs a `synset`"),
    ],
    ids=["names", "synsets", "column", "cell"],
)
def test_an_unusable_table_is_rejected_with_the_reason(tmp_path, text, reason):
    table = tmp_path / "labels.tsv"
    table.write_text(text)
    with pytest.raises(DataUnusable, match=reason):
        labels.read(table)


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(DataUnusable, match=r"none\.tsv can't be read"):
        labels.read(tmp_path / "none.tsv")
