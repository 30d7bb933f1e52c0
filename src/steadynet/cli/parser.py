"""From a command's words and YAML file to its dataclasses of options, with refusals of one line."""

from __future__ import annotations

import argparse
import dataclasses
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NoReturn, TypeVar, get_args, get_origin, get_type_hints

import docstring_parser
import yaml
from jsonargparse import ActionYesNo, ArgumentParser, DefaultHelpFormatter

from steadynet.cli.own import SIZES, own_sizes, with_own
from steadynet.cli.paths import resolve_paths
from steadynet.cli.types import is_switch, kind_of, metavar, spell
from steadynet.cli.words import OptionKind, normalise, option_files
from steadynet.errors import SteadyNetError, unknown
from steadynet.files import write_text_atomically
from steadynet.folders import CONFIG_NAME, CONFIG_START
from steadynet.options.augmented import check_augment
from steadynet.options.types import expected, fits, members

T = TypeVar("T")
Source = Callable[[Mapping[str, Any]], Path | None]

# What a run is told about its folder belongs to one call, not to the run.
TRANSIENT = ("overwrite", "resume")


class HelpFormatter(DefaultHelpFormatter):
    """Option, what it takes, what it does, its default; without Python's type names."""

    def __init__(self, prog: str) -> None:
        width = min(110, shutil.get_terminal_size((110, 24)).columns)
        super().__init__(prog, max_help_position=min(30, width // 3), width=width)

    def _get_help_string(self, action: argparse.Action) -> str:
        if action.dest == "print_config":
            return "print all options with their values as YAML, for --config, and exit"
        return action.help or ""

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if action.dest == "print_config":
            return "--print-config"
        shown = action.option_strings
        if isinstance(action, ActionYesNo):
            return f"{shown[0]}, --no-{shown[0][2:]}" if action.default in (True, None) else shown[0]
        words = ", ".join(name for name in shown if not name.endswith("+"))
        takes = f" {action.metavar}" if action.nargs != 0 and action.metavar else ""
        return words + takes


class Parser(ArgumentParser):
    """jsonargparse's parser; its errors are a SteadyNetError of one line, with the option as it is typed."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise `SteadyNetError`."""
        raise SteadyNetError(_one_line(message, self)) from None


@dataclasses.dataclass(frozen=True)
class Command:
    """What a subcommand is called, does and takes.

    Args:
        name: Its name.
        summary: One line for the list of commands.
        groups: Its dataclasses of options.
        positional: The field that may be given without its name, if there is one.
        examples: Lines for the end of its help.
        ignored: Fields that this command does not take; they keep their defaults.
        inherits: The groups whose defaults are those of the run that is evaluated or carried on.
        defaults: Defaults of this command that differ from those of the groups.
    """

    name: str
    summary: str
    groups: tuple[type, ...]
    positional: str | None = None
    examples: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    inherits: tuple[type, ...] = ()
    defaults: Mapping[str, Any] = dataclasses.field(default_factory=dict[str, Any])

    def fields(self) -> dict[str, tuple[type, dataclasses.Field[Any], Any]]:
        """Return each option's group, field and type."""
        found: dict[str, tuple[type, dataclasses.Field[Any], Any]] = {}
        for group in self.groups:
            hints = get_type_hints(group)
            for f in dataclasses.fields(group):
                if f.name not in self.ignored:
                    found[f.name] = (group, f, with_own(hints[f.name]) if f.name in SIZES else hints[f.name])
        return found


class Options:
    """The options of one call: its dataclasses by their class, and all values as plain types.

    Attributes:
        command: The subcommand.
        values: All values by their names.
        files: The configuration files that some of them were read from.
    """

    def __init__(self, command: Command, values: Mapping[str, Any], files: Sequence[Path] = ()) -> None:
        self.command = command
        self.files = tuple(files)
        self.values = own_sizes({name: values[name] for name in command.fields()})
        self._groups = {
            group: group(
                **{f.name: self.values[f.name] for f in dataclasses.fields(group) if f.name in self.values}
            )
            for group in command.groups
        }

    def __getitem__(self, group: type[T]) -> T:
        return self._groups[group]

    def get(self, group: type[T]) -> T | None:
        """Return a group of options; None if the command has no such options."""
        return self._groups.get(group)

    def config(self) -> dict[str, Any]:
        """Return what `--config` takes back: all values but those that belong to one call."""
        return {name: value for name, value in self.values.items() if name not in TRANSIENT}

    def save(self, folder: Path) -> None:
        """Write the effective options into `folder`, as `--config` takes them."""
        header = f"{CONFIG_START}{self.command.name} --config {CONFIG_NAME}\n"
        write_text_atomically(folder / CONFIG_NAME, header + dump(self.config()))


def dump(values: Mapping[str, Any]) -> str:
    """Return values as YAML, in their order."""
    return yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True)


def parse(command: Command, argv: Sequence[str], source: Source | None = None) -> Options | None:
    """Parse the words after the subcommand's name.

    Args:
        command: The subcommand.
        argv: The words.
        source: Tells, from the values as given, the folder of a run whose own options replace the defaults:
            the run that is evaluated, or carried on.

    Returns:
        The options; None if help or the configuration was printed, so that nothing is left to do.

    Raises:
        SteadyNetError: On anything that is not understood or out of range.
    """
    words = normalise(argv, option_kinds(command), positional=command.positional)
    values = _values(build_parser(command), words)
    folder = source(values) if source and values is not None else None
    if folder is not None:
        saved, groups = saved_options(folder), command.fields()
        defaults = {
            name: saved[name] for name in saved if name in groups and groups[name][0] in command.inherits
        }
        for name, value in defaults.items():
            if value is not None and not fits(value, groups[name][2]):
                raise SteadyNetError(
                    f"the {CONFIG_NAME} of {folder} is damaged: {name} takes {expected(groups[name][2])}, got {value!r}"
                )
        values = _values(build_parser(command, defaults), words)
    if values is None:
        return None
    # Of what is given here, not of what a run was told whose options these are too.
    if values.get("augment") and "--augment" in words:
        check_augment("--augment", values["data"])
    return Options(command, values, option_files(argv))


def _values(parser: Parser, words: list[str]) -> dict[str, Any] | None:
    try:
        values = parser.parse_args(words).as_dict()
    except SystemExit:
        return None
    resolve_paths(values)
    return values


def run_folder(values: Mapping[str, Any]) -> Path | None:
    """Return the folder whose options a command on a finished run takes as its defaults."""
    if values["run"] is None:
        return None
    run = Path(values["run"])
    return run if run.is_dir() else run.parent


def saved_options(folder: Path) -> dict[str, Any]:
    """Return the options that a run saved in `folder`, or of the training of a comparison in that one's folder.

    Raises:
        SteadyNetError: If the file is no YAML of options.
    """
    places, whole = [folder], folder.resolve()
    if [place.name for place in list(whole.parents)[:2]] == ["cells", "trainings"]:
        places.append(whole.parents[2])
    for place in places:
        path = place / CONFIG_NAME
        if path.is_file():
            try:
                found: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
            except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
                raise SteadyNetError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
            if not isinstance(found, dict):
                raise SteadyNetError(f"{path} holds no options: it must be the {CONFIG_NAME} of a run")
            options: dict[str, Any] = found  # pyright: ignore[reportUnknownVariableType] (YAML)
            return {name: value for name, value in options.items() if name not in TRANSIENT}
    return {}


def build_parser(command: Command, defaults: Mapping[str, Any] | None = None) -> Parser:
    """Return the parser of a subcommand."""
    name = f" {_positional(command)}" if command.positional else ""
    parser = Parser(
        prog=f"steadynet {command.name}",
        usage=f"steadynet {command.name}{name} [options]",
        description=command.summary,
        epilog="examples:\n  " + "\n  ".join(command.examples) if command.examples else None,
        formatter_class=_RawEpilog,
        default_env=False,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--config",
        action="config",
        metavar="FILE",
        help="YAML file of options; those on the command line after it come on top. "
        "Every run saves its own as config.yaml.",
    )
    groups = {group: parser.add_argument_group(_title(group)) for group in command.groups}
    helps = {group: _helps(group) for group in command.groups}
    for name, (group, f, kind) in command.fields().items():
        default = ({**command.defaults, **(defaults or {})}).get(name, _default(f))
        arguments: dict[str, Any] = {"default": default, "help": _help(helps[group][name], default)}
        if is_switch(kind):
            groups[group].add_argument(spell(name), action=ActionYesNo(no_prefix="no-"), **arguments)
        else:
            groups[group].add_argument(spell(name), type=kind, metavar=metavar(name, kind), **arguments)
    return parser


def option_kinds(command: Command) -> dict[str, OptionKind]:
    """Return how each option, as it is typed, takes its values."""
    kinds: dict[str, OptionKind] = {"config": "value", "help": "bare", "print-config": "bare"}
    for name, (_, _, hint) in command.fields().items():
        kinds[name.replace("_", "-")] = kind_of(hint)
    return kinds


def _positional(command: Command) -> str:
    name = command.positional or ""
    return f"{name.removesuffix('s').upper()} ..." if option_kinds(command)[name] == "list" else name.upper()


class _RawEpilog(HelpFormatter):
    """Keeps the lines of the examples."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if text.startswith("examples:"):
            return text
        return super()._fill_text(text, width, indent)


def _default(f: dataclasses.Field[Any]) -> Any:
    return f.default if f.default_factory is dataclasses.MISSING else f.default_factory()


def _help(text: str, default: Any) -> str:
    if default is None or default == {} or default is False:
        return text.replace("%", "%%")
    values: list[Any] = list(default) if isinstance(default, list) else [default]  # pyright: ignore[reportUnknownArgumentType]
    shown = " ".join("yes" if value is True else str(value) for value in values)
    return f"{text} [{shown}]".replace("%", "%%")


def _title(group: type) -> str:
    return (group.__doc__ or group.__name__).strip().splitlines()[0].rstrip(".")


def _helps(group: type) -> dict[str, str]:
    """Return each field's line of the docstring."""
    parsed = docstring_parser.parse(group.__doc__ or "", style=docstring_parser.DocstringStyle.GOOGLE)
    return {p.arg_name: " ".join((p.description or "").split()) for p in parsed.params}


def _one_line(message: str, parser: Parser) -> str:
    """Return jsonargparse's message in our words, on one line."""
    actions = {action.dest: action for action in parser._actions}  # pyright: ignore[reportPrivateUsage] (argparse tells them nowhere else)
    if found := re.match(r'Parser key "([\w.]+)":', message):
        key = found[1]
        values = re.findall(r"(?:Got|Given) value: ?(.*)", message)
        hint = getattr(actions.get(key.split(".")[0]), "_typehint", None)
        if hint is not None and values:
            # Of a union, each member tells its own refusal first, and the value as it was given stands last.
            value = values[-1].strip("'\"")
            choices = [c for m in members(hint) if get_origin(m) is Literal for c in get_args(m)]
            if choices and len(members(hint)) == 1:
                return str(unknown(spell(key), value, choices))
            return f"option {spell(key)} takes {expected(hint)}, got {value!r}"
    return " ".join(message.split())
