"""Reads settings from four sources: defaults < file < CB_* variables < options. No other module reads the environment.

Input: `<home>/settings.yml` (or the file that CB_SETTINGS names), CB_HOME, CB_CACHE, CB_BROKER, CB_LOG_LEVEL, nested
settings with double underscores (CB_RUNNER__SLOTS), and the options of the command line. Output: one `Settings`.

An invalid value is Rejected with its file and line or variable, the key, the cause and the nearest valid key. A
variable that resembles no setting is ignored, because other programs can use the short prefix CB_, too.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from cloud_builder.errors import Rejected
from cloud_builder.model.nearest import did_you_mean, nearest
from cloud_builder.model.settings import BrokerSettings, Settings

from . import rundir
from .settings_tree import Origin, Tree, first_problem, merge, model_at, names_of, yaml_lines

PREFIX = "CB_"
FILE_VARIABLE = "CB_SETTINGS"
FILE_NAME = "settings.yml"


class BrokerOrigin(StrEnum):
    """The origin of the broker's address."""

    CONFIGURED = "configured"
    """From an option, a variable or the file."""
    HOME = "home"
    """From the mesh that runs, or ran last, on this home."""
    NONE = "none"


@dataclass(frozen=True)
class LoadedSettings:
    """Settings, and where the address of their broker comes from."""

    settings: Settings
    broker_origin: BrokerOrigin


def load(
    home: Path | None = None,
    file: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Returns all settings of this machine.

    overrides  the options: a nested mapping, with None for each option that is not given
    environ    the variables; default: those of this process

    Raises Rejected(code="bad-setting")."""
    return read(home, file, overrides, environ).settings


def read(
    home: Path | None = None,
    file: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> LoadedSettings:
    """Returns the settings as `load`, and where the address of the broker comes from."""
    env = os.environ if environ is None else environ
    variables = _from_variables(env)
    options = _without_none(overrides or {})
    given_home = home or _path(variables.get("home"))
    named = file or _path(env.get(FILE_VARIABLE))
    written, origin = _from_file(named, given_home or default_home(env))
    tree = merge(written, variables, options, {"home": str(home)} if home else {})
    tree.setdefault("home", str(default_home(env)))
    tree.setdefault("cache", str(default_cache(env)))
    broker_origin = BrokerOrigin.CONFIGURED if "bootstrap" in (tree.get("broker") or {}) else BrokerOrigin.NONE
    if broker_origin is BrokerOrigin.NONE and (running := rundir.broker_of(Path(tree["home"]))):
        tree["broker"] = merge(running.model_dump(), tree.get("broker") or {})
        broker_origin = BrokerOrigin.HOME
    return LoadedSettings(_validated(tree, origin, variables), broker_origin)


def default_home(env: Mapping[str, str]) -> Path:
    return _xdg(env, "XDG_STATE_HOME", ".local/state")


def default_cache(env: Mapping[str, str]) -> Path:
    return _xdg(env, "XDG_CACHE_HOME", ".cache")


def parse_broker(text: str) -> BrokerSettings:
    """Returns BrokerSettings for `HOST:PORT,…`. Raises Rejected."""
    for part in text.split(","):
        host, colon, port = part.strip().rpartition(":")
        if not (colon and host and port.isdecimal() and 0 < int(port) < 65536):
            raise Rejected(
                f"broker {part.strip()!r}: not HOST:PORT", code="bad-setting", hint="For example: --broker kafka-1:9092"
            )
    return BrokerSettings(bootstrap=",".join(part.strip() for part in text.split(",")))


def _xdg(env: Mapping[str, str], variable: str, fallback: str) -> Path:
    top = env.get(variable) or str(Path(env.get("HOME") or Path.home()) / fallback)
    return Path(top) / "cloud-builder"


def _path(text: str | None) -> Path | None:
    return Path(text).expanduser().absolute() if text else None


def _without_none(tree: Mapping[str, Any]) -> Tree:
    cleaned = {key: _without_none(value) if isinstance(value, Mapping) else value for key, value in tree.items()}
    return {key: value for key, value in cleaned.items() if value is not None and value != {}}


def _from_file(named: Path | None, home: Path) -> tuple[Tree, Origin]:
    """Returns the file's tree, and the line of each key. The default file may be missing, a named one may not."""
    path = named or home / FILE_NAME
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        if named is None:
            return {}, Origin(path, {})
        raise _bad(
            f"{path}: no such settings file", f"Create the file, or correct {FILE_VARIABLE} or --settings."
        ) from None
    except (OSError, UnicodeDecodeError) as cause:
        raise _bad(f"{path}: cannot be read: {cause}") from cause
    try:
        tree = yaml.safe_load(text)
    except yaml.YAMLError as cause:
        mark = getattr(cause, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise _bad(f"{where}: not YAML: {getattr(cause, 'problem', None) or cause}") from cause
    if not isinstance(tree, dict | None):
        raise _bad(f"{path}: must be a mapping of settings, and is {type(tree).__name__}")
    return _expanded(tree or {}), Origin(path, yaml_lines(text))


def _expanded(tree: Tree) -> Tree:
    paths = ("home", "cache", "store", "buildroot_store")
    return {key: str(_path(value)) if key in paths and isinstance(value, str) else value for key, value in tree.items()}


def _from_variables(env: Mapping[str, str]) -> Tree:
    tree: Tree = {}
    for name in sorted(env):
        if not name.startswith(PREFIX) or name == FILE_VARIABLE or name.startswith("CB_TEST_"):
            continue
        keys = name[len(PREFIX) :].lower().split("__")
        if not _is_setting(name, keys):
            continue
        tree = merge(tree, _nested(keys, _value(name, keys, env[name])))
    return _expanded(tree)


def _is_setting(name: str, keys: list[str]) -> bool:
    """True if a variable names a setting. Rejected when the name is only similar to one."""
    top = names_of(Settings)
    if keys[0] not in top:
        if close := nearest(keys[0], top):
            raise _bad(f"{name}: no such setting", f"Did you mean {PREFIX}{close.upper()}?")
        return False
    for depth in range(1, len(keys)):
        model = model_at(Settings, keys[:depth])
        if model is None:
            return True
        if keys[depth] not in names_of(model):
            raise _bad(f"{name}: {keys[depth]!r} is not a setting here", did_you_mean(keys[depth], names_of(model)))
    return True


def _value(name: str, keys: list[str], text: str) -> Any:
    if keys == ["broker"] and not text.startswith("{"):
        try:
            return {"bootstrap": parse_broker(text).bootstrap}
        except Rejected as bad:
            raise _bad(f"{name}: {bad.message}", "For example: CB_BROKER=kafka-1:9092,kafka-2:9092") from None
    if text[:1] not in ("{", "["):
        return text
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as cause:
        raise _bad(f"{name}: not YAML: {cause}") from cause


def _nested(keys: list[str], value: Any) -> Tree:
    for key in reversed(keys):
        value = {key: value}
    tree: Tree = value
    return tree


def _validated(tree: Tree, origin: Origin, variables: Tree) -> Settings:
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        location, cause = first_problem(error)
        raise _explained(location, cause, origin, variables) from error


def _explained(location: list[str], cause: str, origin: Origin, variables: Tree) -> Rejected:
    """Returns the error with the source of the value: the variable, else the file, else it came from an option."""
    key, hint = ".".join(location), ""
    parent = model_at(Settings, location[:-1])
    if parent is not None and location[-1] not in names_of(parent):
        cause, hint = "no such setting", _suggestion(location[-1], parent)
    if (variable := _deepest(location, variables)) is not None:
        return _bad(f"{PREFIX}{'__'.join(variable).upper()}: {cause}", hint)
    if where := origin.of(location):
        return _bad(f"{where}: {key}: {cause}", hint)
    return _bad(f"{key}: {cause}", hint)


def _suggestion(word: str, parent: type[BaseModel]) -> str:
    return did_you_mean(word, names_of(parent)) or f"Settings here: {', '.join(names_of(parent))}."


def _deepest(location: list[str], tree: Tree) -> list[str] | None:
    found: list[str] = []
    node: Any = tree
    for key in location:
        if not isinstance(node, dict) or key not in node:
            break
        node = node[key]
        found.append(key)
    return found if found and not isinstance(node, dict) else None


def _bad(message: str, hint: str = "") -> Rejected:
    return Rejected(message, code="bad-setting", hint=hint)
