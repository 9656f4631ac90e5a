"""Options that several commands share, and settings as options."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeAlias

import typer

from helios_cli.engine.config.load import Loaded, load_settings
from helios_cli.engine.config.registry import NODE_SETTINGS
from helios_cli.engine.config.spec import Kind, Setting

Json: TypeAlias = Annotated[bool, typer.Option("--json", help="JSON on standard output, errors as JSON too.")]
Config: TypeAlias = Annotated[
    str | None, typer.Option("--config", metavar="FILE", help="heliosdb.conf to read (HELIOSDB_CONFIG).")
]
Sets: TypeAlias = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Any other setting; may be repeated.")
]
DataDir: TypeAlias = Annotated[
    str | None, typer.Option("--data-dir", metavar="DIR", help="The node's directory (HELIOSDB_DATA_DIR).")
]


def load(flags: Mapping[str, object], config: str | None = None, sets: list[str] | None = None) -> Loaded:
    """Settings from the flags of a command, this process's environment and the files."""
    return load_settings({**flags, **_parse_sets(sets or [])}, os.environ, config=config)


def with_settings(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command an option for every setting of a node; they arrive as ``flags``, None when not given.

    The options are derived from the table of settings, so that flags, environment, file and documents cannot differ.
    """
    own = [one for one in inspect.signature(function, eval_str=True).parameters.values() if one.name != "flags"]

    def command(**values: Any) -> Any:
        names = {one.name for one in NODE_SETTINGS}
        flags = {name: value for name, value in values.items() if name in names}
        rest = {name: value for name, value in values.items() if name not in names}
        return function(flags=flags, **rest)

    options = [_parameter(one) for one in NODE_SETTINGS]
    command.__doc__ = function.__doc__
    command.__name__ = function.__name__
    command.__signature__ = inspect.Signature([*own, *options])  # type: ignore[attr-defined]
    return command


def _parameter(setting: Setting) -> inspect.Parameter:
    flag = setting.flag or ""
    section = setting.key.partition(".")[0].capitalize()
    help_text = f"{setting.help} \\[{setting.show(setting.default) or 'not set'}]"
    annotation: Any
    if setting.kind is Kind.BOOL:
        names = f"{flag}/--no-{flag[2:]}"
        annotation = Annotated[bool | None, typer.Option(names, help=help_text, rich_help_panel=section)]
    else:
        option = typer.Option(flag, metavar=_metavar(setting), help=help_text, rich_help_panel=section)
        annotation = Annotated[str | None, option]
    return inspect.Parameter(setting.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _metavar(setting: Setting) -> str:
    if setting.kind is Kind.ENUM:
        return "|".join(setting.choices)
    if setting.kind is Kind.QUANTITY:
        return "SIZE" if setting.unit in ("B", "kB", "MB") else "DURATION"
    return {Kind.INTEGER: "NUMBER", Kind.FLOAT: "NUMBER", Kind.LIST: "A,B"}.get(setting.kind, "TEXT")


def _parse_sets(sets: list[str]) -> dict[str, str]:
    pairs = {}
    for text in sets:
        name, equals, value = text.partition("=")
        if not equals:
            raise typer.BadParameter(f"--set takes NAME=VALUE, not {text!r}")
        pairs[name.strip()] = value
    return pairs
