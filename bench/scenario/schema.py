"""The JSON Schema of scenario files, for editors: made from the models, never written by hand."""

from typing import Any

from bench.scenario.model import Scenario


def json_schema() -> dict[str, Any]:
    """The schema as a JSON value. Values may also be ${NAME} references, which an editor cannot check."""
    schema = Scenario.model_json_schema(by_alias=True, mode="validation")
    return (
        {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema | {"title": "Holdfast scenario"}
    )
