"""The worker of a node without Ray: the model that it loads, and the results that it hands over."""

import pickle
from dataclasses import replace

import pytest

from app import vision
from app.bulk.classification import Classification, ShardEnd
from app.errors import BadParameter, BundleMismatch
from app.on_ray.bulk import RESULTS_AT_ONCE, BulkModel, MakeBulkWorker, require_files
from app.on_ray.data_map import Workers
from app.runtime.bulk import PhotoResult
from app.runtime.registry_and_device import create_registry
from app.settings import Settings
from app.sources.shard import ListedPhoto, Shard
from tests.conftest import COLOURS, jpeg

LIMITS = vision.Limits(1_000_000, 1_000_000, 10_000)


@pytest.fixture
def described(make_bundle, tmp_path):
    make_bundle(version=1, sharpness=8.0)
    settings = Settings(models=tmp_path / "models", device="cpu")
    registry = create_registry(settings.models, "cpu", None, cache=None).registry
    registry.load_all()
    return BulkModel.of(settings, registry.resolve("colours"))


def shard_of(folder, count):
    for number in range(count):
        (folder / f"{number:04}.jpg").write_bytes(jpeg(COLOURS["red"]))
    paths = [str(folder / f"{number:04}.jpg") for number in range(count)]
    return Shard(3, "files", files=tuple(ListedPhoto(path, None) for path in paths))


def test_a_pickled_worker_hands_over_the_results_of_a_shard_in_order_some_at_a_time(
    described, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    make = MakeBulkWorker(described, Classification(2, LIMITS))
    worker = pickle.loads(pickle.dumps(make))({"CPU": 1.0})
    shard = shard_of(tmp_path, RESULTS_AT_ONCE + 1)
    handed_over = [pickle.loads(pickle.dumps(each)) for each in worker.results_of(shard.line())]
    assert [len(each) for each in handed_over] == [RESULTS_AT_ONCE, 2]
    *results, end = [result for each in handed_over for result in each]
    assert end == ShardEnd(shard)
    assert [result.path for result in results] == [each.address for each in shard.files]
    assert all(isinstance(result, PhotoResult) for result in results)
    assert {result.result.predictions[0].label for result in results} == {"red"}


def test_a_node_with_another_bundle_is_refused(described):
    with pytest.raises(BundleMismatch, match="Share one folder of models"):
        replace(described, seal="another").load()


def test_a_node_with_another_precision_is_refused(described):
    with pytest.raises(BundleMismatch, match="nodes with the same processor"):
        replace(described, precision="int8").load()


def test_a_node_without_any_file_of_a_shard_is_refused(tmp_path):
    here = tmp_path / "here.jpg"
    here.touch()
    missing = ListedPhoto(str(tmp_path / "missing.jpg"), None)
    require_files(Shard(0, "files", files=(missing, ListedPhoto(str(here), None))))
    require_files(Shard(0, "tar", "s3://bucket/shard.tar"))
    with pytest.raises(BadParameter, match=r"A node has no .*missing"):
        require_files(Shard(0, "files", files=(missing,)))
    with pytest.raises(BadParameter, match=r"A node has no .*shard\.tar"):
        require_files(Shard(0, "tar", str(tmp_path / "shard.tar")))


def test_there_is_a_worker_for_each_node_with_the_cores_of_the_smallest_unless_told():
    assert Workers().on_nodes([8.0, 0, 4.0]) == Workers(2, 2, 4)
    assert Workers(1, 8, 2, gpus=1).on_nodes([8.0]) == Workers(1, 8, 2, 1)
    assert Workers().on_nodes([0.5]) == Workers(1, 1, 1)
