"""Reads YAML into plain values, with the line of each.

A scalar becomes the text in the file (`15.10` stays `15.10`, a date stays text); null becomes None. The text comes from
any repository, so reading must not cost more than its size: aliases, depth and the number of nodes are limited. Tags
other than YAML's own are rejected; no object is made from a tag.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import yaml

MAX_BYTES = 1024 * 1024
_MAX_NODES = 20_000
_MAX_ALIASES = 100
_MAX_DEPTH = 20
_PLAIN_TAGS = frozenset(
    f"tag:yaml.org,2002:{tag}"
    for tag in ("str", "int", "float", "bool", "null", "timestamp", "value", "merge", "map", "seq")
)
_NULL_TAG = "tag:yaml.org,2002:null"

Path = tuple[str | int, ...]
Value = str | None | list["Value"] | dict[str, "Value"]


@dataclass(frozen=True)
class Fault:
    """An error in the text, and its line (from 1)."""

    line: int
    message: str
    hint: str = ""


@dataclass
class Tree:
    """A YAML document: its value, the line of each key or entry by path, and its errors."""

    value: Value = None
    lines: dict[Path, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def line(self, path: Path) -> int:
        """Returns the line of a path, or of the nearest parent that has one."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


class _LimitReached(yaml.MarkedYAMLError):
    """Raised when the document reaches a limit."""

    def __init__(self, problem: str, mark: yaml.Mark | None) -> None:
        super().__init__(problem=problem, problem_mark=mark)


class _LimitedLoader(yaml.SafeLoader):
    """A loader that stops at the limits, before a node is composed."""

    depth = nodes = aliases = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        self.nodes += 1
        self.aliases += self.check_event(yaml.AliasEvent)
        for count, most, name in (
            (self.nodes, _MAX_NODES, "entries"),
            (self.aliases, _MAX_ALIASES, "aliases"),
            (self.depth, _MAX_DEPTH, "levels"),
        ):
            if count > most:
                raise _LimitReached(f"more than {most} {name}", mark)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def read(text: bytes | str) -> Tree:
    """Returns one YAML document. Never raises: errors are in `faults` of the tree."""
    if len(text) > MAX_BYTES:
        return Tree(faults=[Fault(1, f"larger than {MAX_BYTES} bytes")])
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
    """Converts nodes into plain values. A node with aliases is converted once for each of them, within the limits."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.visited = 0
        self.is_full = False

    def value(self, node: yaml.Node, path: Path) -> Value:
        self.visited += 1
        if self.visited > _MAX_NODES or len(path) > _MAX_DEPTH:
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
