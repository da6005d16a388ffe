"""`cb-ctl completion`: prints the script with which a shell completes cb-ctl."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from .options import global_options

INSTALLATION = {
    "bash": 'eval "$(cb-ctl completion bash)"          in ~/.bashrc',
    "zsh": 'eval "$(cb-ctl completion zsh)"           in ~/.zshrc',
    "fish": "cb-ctl completion fish > ~/.config/fish/completions/cb-ctl.fish",
}


@click.command(epilog="\b\n" + "\n".join(INSTALLATION.values()))
@click.argument("shell", type=click.Choice(list(INSTALLATION)))
@global_options
def completion(shell: str) -> None:
    """Print the completion script for SHELL."""
    shell_class = get_completion_class(shell)
    assert shell_class is not None
    complete = shell_class(click.get_current_context().find_root().command, {}, "cb-ctl", "_CB_CTL_COMPLETE")
    click.echo(complete.source_template % complete.source_vars())
