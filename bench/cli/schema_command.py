"""`bench schema`: the JSON Schema of scenario, stack and requirements files, for editors."""

import json

import click


@click.command("schema")
@click.option("--stack", "of_stacks", is_flag=True, help="That of stack files.")
@click.option("--requirements", "of_requirements", is_flag=True, help="That of files of requirements.")
def command(of_stacks: bool, of_requirements: bool) -> None:
    """Print the JSON Schema of scenario files, of stack files or of files of requirements.

    An editor with a YAML language server reads it from the first line of a scenario:
    # yaml-language-server: $schema=scenario.schema.json
    """
    from bench.assess.requirements import requirements_schema
    from bench.scenario.model import json_schema
    from bench.stack.stack_file import stack_schema

    schema = stack_schema() if of_stacks else json_schema()
    schema = requirements_schema() if of_requirements else schema
    click.echo(json.dumps(schema, indent=2, ensure_ascii=False))
