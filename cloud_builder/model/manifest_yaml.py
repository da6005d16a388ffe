"""YAML text in, plain values with the line of each out.

Every scalar comes out as the text that was written (`15.10` stays `15.10`, a date stays a date's text), None for null.
Text from anyone's repository is read here, so nothing in it may cost more than its size: aliases, depth and the number
of nodes are limited, tags other than YAML's own are refused, no object is ever made from a tag.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import yaml

MOST_BYTES = 1024 * 1024
_MOST_NODES = 20_000
_MOST_ALIASES = 100
_MOST_DEPTH = 20
_PLAIN_TAGS = frozenset(
    f"tag:yaml.org,2002:{tag}"
    for tag in ("str", "int", "float", "bool", "null", "timestamp", "value", "merge", "map", "seq")
)
_NULL_TAG = "tag:yaml.org,2002:null"

Path = tuple[str | int, ...]
Value = str | None | list["Value"] | dict[str, "Value"]


@dataclass(frozen=True)
class Fault:
    """What is wrong with the text, and in which line (from 1)."""

    line: int
    message: str
    hint: str = ""


@dataclass
class Tree:
    """A YAML document: its value, the line of each key or entry by path, and what was wrong on the way."""

    value: Value = None
    lines: dict[Path, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def line(self, path: Path) -> int:
        """The line of a path, or of the nearest thing around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


class _TooMuch(yaml.MarkedYAMLError):
    """A limit was reached."""

    def __init__(self, problem: str, mark: yaml.Mark | None) -> None:
        super().__init__(problem=problem, problem_mark=mark)


class _LimitedLoader(yaml.SafeLoader):
    """Stops composing nodes at the limits, before any of them costs anything."""

    depth = nodes = aliases = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        self.nodes += 1
        self.aliases += self.check_event(yaml.AliasEvent)
        for count, most, name in (
            (self.nodes, _MOST_NODES, "entries"),
            (self.aliases, _MOST_ALIASES, "aliases"),
            (self.depth, _MOST_DEPTH, "levels"),
        ):
            if count > most:
                raise _TooMuch(f"more than {most} {name}", mark)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def read(text: bytes | str) -> Tree:
    """Reads one YAML document. Never raises: what is wrong is in the tree's faults."""
    if len(text) > MOST_BYTES:
        return Tree(faults=[Fault(1, f"larger than {MOST_BYTES} bytes")])
    try:
        decoded = text.decode("utf-8-sig") if isinstance(text, bytes) else text
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        return Tree(faults=[Fault(line, "not UTF-8 text", "Save the file in UTF-8.")])
    try:
        node = _compose(decoded)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        return Tree(faults=[Fault(mark.line + 1 if mark else 1, f"not valid YAML: {error.problem or error.context}")])
    except yaml.reader.ReaderError as error:
        line = decoded.count("\n", 0, error.position) + 1
        return Tree(faults=[Fault(line, "not valid YAML: a character that YAML does not allow")])
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # e.g. an escape beyond Unicode, deep in the scanner
        return Tree(faults=[Fault(1, f"not valid YAML: {error}")])
    tree = Tree()
    if node is not None:
        tree.value = _Walk(tree).value(node, ())
    return tree


def _compose(text: str) -> yaml.Node | None:
    loader = _LimitedLoader(text)
    try:
        return loader.get_single_node()
    finally:
        loader.dispose()


class _Walk:
    """Turns nodes into plain values, once for each place that an alias puts them, within the limits."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.visited = 0
        self.is_full = False

    def value(self, node: yaml.Node, path: Path) -> Value:
        self.visited += 1
        if self.visited > _MOST_NODES or len(path) > _MOST_DEPTH:
            if not self.is_full:
                self._fault(node, "aliases that expand to too much")
            self.is_full = True
            return None
        self.tree.lines.setdefault(path, node.start_mark.line + 1)
        if node.tag not in _PLAIN_TAGS:
            self._fault(node, f"the tag {node.tag} is not allowed", "Write plain text.")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(entry, (*path, number)) for number, entry in enumerate(node.value)]
        return None if node.tag == _NULL_TAG else str(node.value)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Value]:
        values: dict[str, Value] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._fault(key_node, "a key must be plain text")
                continue
            key = str(key_node.value)
            if key in values:
                first = self.tree.line((*path, key))
                self._fault(key_node, f'the key "{key}" is here a second time', f"It is in line {first} already.")
                continue
            self.tree.lines[(*path, key)] = key_node.start_mark.line + 1
            values[key] = self.value(value_node, (*path, key))
        return values

    def _fault(self, node: yaml.Node, message: str, hint: str = "") -> None:
        self.tree.faults.append(Fault(node.start_mark.line + 1, message, hint))
