"""`cb-ctl completion`: a script that teaches a shell to complete cb-ctl."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from .options import global_options

HOW = {
    "bash": 'eval "$(cb-ctl completion bash)"          in ~/.bashrc',
    "zsh": 'eval "$(cb-ctl completion zsh)"           in ~/.zshrc',
    "fish": "cb-ctl completion fish > ~/.config/fish/completions/cb-ctl.fish",
}


@click.command(epilog="\b\n" + "\n".join(HOW.values()))
@click.argument("shell", type=click.Choice(list(HOW)))
@global_options
def completion(shell: str) -> None:
    """Print the completion script for SHELL."""
    found = get_completion_class(shell)
    assert found is not None
    maker = found(click.get_current_context().find_root().command, {}, "cb-ctl", "_CB_CTL_COMPLETE")
    click.echo(maker.source_template % maker.source_vars())
