"""The benchmark of captures, on two small stores."""

from benchmarks import captures


def test_every_kind_of_page_is_measured_on_both_stores(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(captures, "SMALL", 50)
    monkeypatch.setattr(captures, "_BATCH", 50)
    captures.main(["--captures", "100", "--rounds", "1"])
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows[1:]] == list(captures.PAGES)
