"""The options of a job are those of `hubel train`, with the same limits."""

import click
import pytest
from pydantic import ValidationError

from app.cli.train import train
from app.jobs.job import TrainRequest
from app.jobs.train_options import TrainOptions
from training.recipes import registry

SET_BY_THE_SERVICE = {
    *("data", "output", "force", "labels_from", "split", "recipe", "device", "resume", "fixes"),
    *("name", "version", "progress", "processes", "split_of", "engine", "workers", "worker_cores"),
}
"""They name files, machines or the bundle's place."""
OPTIONS = {parameter.name: parameter for parameter in train.params}


def test_every_option_of_the_command_is_an_option_of_a_job_or_the_service_s():
    assert set(OPTIONS) == set(TrainOptions.model_fields) | SET_BY_THE_SERVICE


def test_values_and_limits_are_those_of_the_command():
    properties = TrainOptions.model_json_schema()["properties"]
    for name in TrainOptions.model_fields:
        kind = OPTIONS[name].type
        schemas = properties[name].get("anyOf", [properties[name]])
        if isinstance(kind, click.Choice):
            assert set(schemas[0]["enum"]) == set(kind.choices), name
        if isinstance(kind, click.IntRange):
            assert schemas[0].get("minimum") == kind.min, name


def test_the_command_reads_what_a_job_passes(tmp_path):
    options = TrainOptions(
        min_photos=3, skip_small=True, fit="stretch", accept_precision=0.9, accept_per_class=False
    )
    arguments = [str(tmp_path), "--output", str(tmp_path / "out"), *options.arguments()]
    parsed = train.make_context("train", arguments).params
    assert {name: parsed[name] for name in options.model_fields_set} == options.model_dump(
        include=options.model_fields_set
    )


def test_recipes_have_the_options_that_training_gives_them():
    values = {"network": "fast", "size": 32, "quality": "best", "epochs": 1, "backbone": "lite0"}
    for recipe, options in registry._OPTIONS.items():
        for name, value in values.items():
            try:
                TrainRequest(dataset="a", model="a", recipe=recipe, options={name: value})
                is_accepted = True
            except ValidationError:
                is_accepted = False
            assert is_accepted == (name in options), (recipe, name)


@pytest.mark.parametrize("options", [{"accept_per_class": True}, {"seed": -1}, {"version": 3}])
def test_other_values_are_refused(options):
    with pytest.raises(ValidationError):
        TrainOptions(**options)
