"""`bench schema`: the JSON Schema of scenario files, for editors."""

import json

import click


@click.command("schema")
def command() -> None:
    """Print the JSON Schema of scenario files.

    An editor with a YAML language server reads it from the first line of a scenario:
    # yaml-language-server: $schema=scenario.schema.json
    """
    from bench.scenario.model import json_schema

    click.echo(json.dumps(json_schema(), indent=2, ensure_ascii=False))
