"""The benchmark of the orders of a review, on a few photos."""

from benchmarks import review_order


def test_every_order_has_a_row(imagenet, capsys):
    given = ["--scenes", "3", "--burst", "2", "--rounds", "1", "--timed", "500"]
    review_order.main(["--photos", str(imagenet / "golden"), *given])
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert [row.split(" | ")[0] for row in rows[1:]] == ["| newest", "| unsure", "| varied"]
