"""The service of a replica: its settings, its share of a node, its deployment's options."""

import pytest

from app.errors import BadParameter
from app.on_ray import replica
from app.on_ray.start import AUTOSCALING, Replicas
from app.runtime import process_memory
from app.runtime.batching import threads_for
from app.runtime.host import is_capped


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"modles": "/models"}, "modles is no setting"),
        ({"port": 80}, "http_options"),
        ({"deadline_s": -1}, "deadline_s: "),
        ({"capture": "unsure"}, "capture needs data_dir"),
    ],
    ids=["unknown", "of the server", "wrong value", "inconsistent"],
)
def test_a_wrong_setting_is_one_sentence(arguments, words):
    with pytest.raises(BadParameter, match=words):
        replica.read_settings(arguments)


def test_a_replica_follows_the_models_folder_unless_it_is_told_not_to(monkeypatch):
    assert replica.read_settings({}).watch
    assert not replica.read_settings({"watch": False}).watch
    monkeypatch.setenv("HUBEL_WATCH", "false")
    assert not replica.read_settings({"max_files": 3}).watch


@pytest.mark.parametrize(
    ("assigned", "cores"),
    [({}, 8), ({"CPU": 2.0}, 2), ({"CPU": 0.5}, 1), ({"CPU": 99.0}, 8), ({"GPU": 1.0}, 8)],
)
def test_a_replica_uses_the_cores_that_are_assigned_to_it(assigned, cores, monkeypatch):
    monkeypatch.setattr(replica, "available_cores", lambda: 8)
    assert replica.cores_of(assigned) == cores


def test_a_part_of_the_node_has_that_part_of_its_memory():
    whole, half = process_memory.memory_limits(), process_memory.memory_limits(part=0.5)
    for one, other in zip(whole, half, strict=True):
        assert other.limit_bytes == pytest.approx(one.limit_bytes / 2, abs=1)
        assert other.share == one.share


def test_the_service_of_a_replica_has_the_threads_of_its_cores(monkeypatch):
    monkeypatch.setattr(replica.logs, "configure", lambda *_: None)
    monkeypatch.setattr(replica.host, "return_large_blocks", lambda: None)
    app = replica.create_app(replica.read_settings({}), {"CPU": 1.0})
    assert app.state.service.classifier.engine.threads == threads_for("cpu", 1, capped=is_capped())


def test_the_options_divide_the_node_or_scale_by_the_queue():
    assert Replicas(2, 2).options(8) == {
        "ray_actor_options": {"num_cpus": 4, "num_gpus": 0},
        "num_replicas": 2,
    }
    scaled = Replicas(1, 4, cores=2, gpus=1).options(8)
    assert scaled["ray_actor_options"] == {"num_cpus": 2, "num_gpus": 1}
    assert scaled["autoscaling_config"] == {**AUTOSCALING, "min_replicas": 1, "max_replicas": 4}
