"""The OpenAPI document says everything: no answer is one that it does not describe, and none is a fault.

Endpoints are found by themselves. `CONTRACT_EXAMPLES` asks more of each.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from fastapi.routing import APIRoute

from campaign_pipeline.campaigns.figures import figures_from
from campaign_pipeline.interfaces.rest_api.app import ROUTERS
from campaign_pipeline.interfaces.rest_api.examples import ANSWERS
from campaign_pipeline.interfaces.rest_api.failures import FailureLimit
from campaign_pipeline.interfaces.rest_api.shapes import Told
from campaign_pipeline.ledger.states import ApiRole
from campaign_pipeline_tests.interfaces.installation import Installation
from campaign_pipeline_tests.interfaces.rest_api.dagster_webserver import DagsterWebserver
from campaign_pipeline_tests.interfaces.rest_api.served import ServedApi

EXAMPLES: Final = int(os.environ.get("CONTRACT_EXAMPLES", "3"))

_SCHEMATHESIS: Final = Path(sys.executable).parent / "schemathesis"


USERS_ENDPOINTS: Final = (
    ("POST", "/marketing/campaigns"),
    ("GET", "/marketing/campaigns"),
    ("POST", "/marketing/campaigns/{campaign}/recipients"),
    ("POST", "/marketing/campaigns/{campaign}/activate"),
    ("POST", "/marketing/campaigns/{campaign}/pause"),
    ("POST", "/marketing/campaigns/{campaign}/resume"),
    ("GET", "/marketing/campaigns/{campaign}/stats"),
    ("POST", "/marketing/process-daily"),
)


@pytest.mark.parametrize(("method", "path"), USERS_ENDPOINTS)
def test_the_answers_that_everybody_reads_have_a_true_example(method: str, path: str) -> None:
    """Programs are written after the example, and one with a field that does not exist costs an afternoon."""
    (route,) = [
        each
        for router in ROUTERS
        for each in router.routes
        if isinstance(each, APIRoute) and each.path == path and method in each.methods
    ]
    model = route.response_model
    assert isinstance(model, type)
    assert issubclass(model, Told)
    example = ANSWERS[model.__name__]
    assert example.keys() == model.model_fields.keys()
    model.model_validate(example)
    if "states" in example:
        counted = figures_from(example["states"], example["sent"], example["replied"]).as_dict()
        assert counted == {name: example[name] for name in counted}


def test_examples_of_answers_stand_in_the_document(api: ServedApi) -> None:
    """A document without them is read with a guess at what comes back."""
    schemas = api.app.openapi()["components"]["schemas"]
    assert {name: schemas[name]["examples"] for name in ANSWERS} == {name: [each] for name, each in ANSWERS.items()}


def test_every_answer_is_described(installation: Installation) -> None:
    """A program that is written after the document meets an answer that it cannot read."""
    with DagsterWebserver() as dagster:
        installation.set("DAGSTER_WEBSERVER_URL", dagster.url)
        installation.set("CAMPAIGN_UPLOAD_LIMIT", "10000")
        installation.active_campaign()
        # It tries wrong tokens too, and would be refused for a minute.
        with ServedApi(installation.clock, FailureLimit(1_000_000)) as served:
            ended = subprocess.run(
                [
                    _SCHEMATHESIS,
                    f"--config-file={Path(__file__).with_name('schemathesis.toml')}",
                    "run",
                    f"{served.url}/openapi.json",
                    f"--header=Authorization: Bearer {served.tokens[ApiRole.ADMIN]}",
                    "--checks=all",
                    "--phases=examples,coverage,fuzzing,stateful",
                    f"--max-examples={EXAMPLES}",
                    "--seed=1",
                    "--generation-deterministic",
                    "--no-color",
                ],
                capture_output=True,
                text=True,
                timeout=3_000,
                check=False,
            )
    assert ended.returncode == 0, ended.stdout[-20_000:]
