"""Requests generated from the OpenAPI document: a short form of benchmarks/hardening/openapi_cases.

The check of ignored keys sends each request again without a key, and with a wrong one.
"""

import json
from pathlib import Path

import pytest

from benchmarks.hardening import openapi_cases

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

SNAPSHOT = Path(__file__).parents[1] / "api/openapi.json"


def test_generated_requests_alone_and_in_chains_get_responses_as_documented():
    cases = openapi_cases.run("client", examples=1, seed=0, phases="fuzzing,stateful")
    assert cases.failures == [], cases.text
    document = json.loads(SNAPSHOT.read_text())
    assert cases.operations == sum(len(methods) for methods in document["paths"].values())
    assert cases.stateful == "success"
    assert cases.generated > cases.operations
