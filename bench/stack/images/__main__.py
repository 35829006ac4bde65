"""`python -m bench.stack.images build|list|remove`: the images of `--stack docker`, without a registry."""

from __future__ import annotations

import sys
import time

import click

from bench.core.errors import HoldfastError
from bench.registry import SERVICES
from bench.stack.docker.client import connect_engine
from bench.stack.docker.services import chosen_image
from bench.stack.images.build import build_image, remove_images


@click.group()
def command() -> None:
    """Build images of this machine's own programs, or on bases that are named."""


@command.command("build")
@click.argument("services", nargs=-1, metavar="[SERVICE...]")
@click.option(
    "--base", "bases", multiple=True, metavar="SERVICE=IMAGE", help="Build a service on this image."
)
def build(services: tuple[str, ...], bases: tuple[str, ...]) -> None:
    """Build the images of these services (default: all), where they are not up to date."""
    named = dict(base.partition("=")[::2] for base in bases)
    if unknown := sorted({*services, *named} - set(SERVICES)):
        raise click.UsageError(f"expected services among {', '.join(SERVICES)}, found '{unknown[0]}'")
    engine = connect_engine()
    for service in services or SERVICES:
        begin = time.monotonic()
        name = build_image(engine, service, named.get(service), click.echo)
        click.echo(f"{service}: {name} ({time.monotonic() - begin:.1f} s)")


@command.command("list")
def show() -> None:
    """Show which image `--stack docker` would use for each service, as far as it is on this machine."""
    engine = connect_engine()
    for service in SERVICES:
        choice = chosen_image(engine, service)
        click.echo(
            f"{service:<12} {choice.name}  ({choice.origin}{'' if choice.is_here else ', not here yet'})"
        )


@command.command("remove")
def remove() -> None:
    """Remove the images that were built here."""
    for name in remove_images(connect_engine()):
        click.echo(f"removed {name}")


def main() -> None:
    """Run the command; an error of ours is a sentence, not a traceback."""
    try:
        command(prog_name="python -m bench.stack.images")
    except HoldfastError as error:
        click.echo(f"images: {error}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
