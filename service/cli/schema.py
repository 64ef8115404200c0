"""`handrail schema`: the JSON Schema by which an editor completes and checks rule files and test files."""

from __future__ import annotations

from typing import Annotated

import typer

from rules.files.schema import SCHEMAS, schema_text
from service.cli.output import refuse, say_all


def schema(
    name: Annotated[str, typer.Argument(help=f"Whose: {' or '.join(SCHEMAS)}.", metavar="[FILES]")] = "rules",
) -> None:
    """Print the JSON Schema of rule files or test files, for an editor that completes and checks as you type.

    An editor with the YAML language server (VS Code, Neovim, Emacs, Helix, …) reads the name of a file's schema in a
    comment at its top. The shipped files have it already; beside rule files of your own, write the two schemas once,
    and again after an upgrade.

    \b
    Examples:
      handrail schema rules > my-rules/rules.schema.json
      handrail schema tests > my-rules/tests.schema.json
      head -1 my-rules/support.yaml
        # yaml-language-server: $schema=rules.schema.json
    """
    if name not in SCHEMAS:
        refuse(f"there is no schema of `{name}`", f"write one of {', '.join(SCHEMAS)}")
    say_all(schema_text(name))
