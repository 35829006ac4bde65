"""`bench schema`: the JSON Schema of scenario and stack files, for editors."""

import json

import click


@click.command("schema")
@click.option("--stack", "of_stacks", is_flag=True, help="That of stack files.")
def command(of_stacks: bool) -> None:
    """Print the JSON Schema of scenario files, or of stack files.

    An editor with a YAML language server reads it from the first line of a scenario:
    # yaml-language-server: $schema=scenario.schema.json
    """
    from bench.scenario.model import json_schema
    from bench.stack.stack_file import stack_schema

    click.echo(json.dumps(stack_schema() if of_stacks else json_schema(), indent=2, ensure_ascii=False))
