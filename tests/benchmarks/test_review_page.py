"""The benchmark of the review page: the store that it fills. tests/browser uses such a store."""

from app.captures import Store
from benchmarks import review_page


def test_a_store_is_filled_with_variants_of_photos(tmp_path, imagenet, monkeypatch):
    monkeypatch.setattr(review_page, "_BATCH", 8)
    review_page.fill(tmp_path, imagenet / "golden", 12)
    store = Store(tmp_path)
    assert store.totals().photos == 12
    assert len(store.files.names()) == 12
