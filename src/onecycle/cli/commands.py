"""How a function becomes a command: its options spread, its examples, its two ways of answering."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext, redirect_stdout
from dataclasses import MISSING, fields, is_dataclass
from functools import partial, wraps
from inspect import Parameter, Signature, signature
from typing import Annotated, Any, get_type_hints

import typer
from typer import Option

from onecycle.cli.wording import in_shell

LEAVES = "What it leaves"  # the group of options on what a command writes


def examples(*lines: str) -> str:
    """The end of a command's --help: each example on a line of its own."""
    return "\n\n".join(["Examples:", *lines])


def spread(command: Callable[..., Any]) -> Callable[..., Any]:
    """A command with an option for each field of those of its parameters that are dataclasses.

    A name that several of them have is one option.
    """
    hints = get_type_hints(command, include_extras=True)
    groups = {name: kind for name, kind in hints.items() if is_dataclass(kind)}
    options = {
        field.name: Parameter(
            field.name,
            Parameter.KEYWORD_ONLY,
            default=Parameter.empty if field.default is MISSING else field.default,
            annotation=get_type_hints(kind, include_extras=True)[field.name],
        )
        for kind in groups.values()
        for field in fields(kind)
    }
    own = [
        p.replace(kind=Parameter.KEYWORD_ONLY, annotation=hints[p.name])
        for p in signature(command).parameters.values()
        if p.name not in groups
    ]

    @wraps(command)
    def run(**given: Any) -> Any:
        made = {
            name: kind(**{f.name: given[f.name] for f in fields(kind)})  # type: ignore[operator]
            for name, kind in groups.items()
        }
        return command(**made, **{p.name: given[p.name] for p in own})

    return _with_parameters(run, [*options.values(), *own], hints.get("return"))


def _with_parameters(run: Any, parameters: list[Parameter], gives: Any) -> Callable[..., Any]:
    """`run`, seen by typer as a function of these."""
    run.__signature__ = Signature(parameters)
    run.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": gives}
    return run


def plain_errors(command: Callable[..., Any]) -> Callable[..., None]:
    """Show the library's own errors as one clear message, without a stack trace.

    A command that returns something has an option --json: what it returns is then all that stands
    on standard output, each of several things on a line of its own, and everything else goes to
    standard error. It is given as `as_json` where that is a parameter.
    """
    own = {p.name: p for p in signature(command).parameters.values()}

    def run(*args: Any, json_: bool = False, **options: Any) -> None:
        known = {"as_json": json_} if "as_json" in own else {}
        if code := _code_of(partial(command, *args, **options, **known), json_):
            raise typer.Exit(code)

    hints = get_type_hints(command, include_extras=True)
    given = [
        p.replace(annotation=hints[name], kind=Parameter.KEYWORD_ONLY)
        for name, p in own.items()
        if name != "as_json"
    ]
    gives = hints.get("return", type(None)) is not type(None)
    asked = Annotated[
        bool,
        Option("--json", help="Print the results as one JSON object.", rich_help_panel=LEAVES),
    ]
    more = Parameter("json_", Parameter.KEYWORD_ONLY, default=False, annotation=asked)
    wrapped: Any = wraps(command)(run)
    del wrapped.__wrapped__
    return _with_parameters(wrapped, [*given, *[more] * gives], None)


def _code_of(command: Callable[[], Any], json_: bool) -> int:
    """Run it, print what it returns where that is asked for, and return the exit code."""
    from onecycle.core.display import print_any_text
    from onecycle.core.errors import OnecycleError
    from onecycle.core.lazy import training_half

    shown, code = sys.stdout, 0
    print_any_text(shown)
    try:
        with redirect_stdout(sys.stderr) if json_ else nullcontext(), training_half():
            found = command()
            for each in found if isinstance(found, Iterator) else [found or {}]:
                code = each.pop("exit_code", 0)
                if each and json_:
                    print(json.dumps(each, default=float), file=shown, flush=True)
    except (OnecycleError, OSError) as error:  # no such folder, no room, no right to write
        name, text = type(error).__name__, in_shell(str(error))
        typer.secho(f"{name}: {text}", fg=typer.colors.RED, err=True)
        if json_:
            print(json.dumps({"error": name, "message": text}))
        code = 2
    return code
