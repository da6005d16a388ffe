"""The files generated from the models are fresh, the same at every run, and valid."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from cloud_builder.model.role import Role
from cloud_builder.model.topics import DEAD_LETTER, FAMILIES, QUEUE, READER_GROUP, ROUTES, TOPICS
from cloud_builder.wiring.schemas import files, pages
from cloud_builder.wiring.schemas.__main__ import main

ROOT = Path(__file__).parents[3]
FILES = files()


def asyncapi() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(FILES["asyncapi.yaml"])
    return document


def references(value: Any) -> list[str]:
    """Every $ref in a document."""
    if isinstance(value, dict):
        return [ref for key, item in value.items() for ref in ([item] if key == "$ref" else references(item))]
    return [ref for item in value for ref in references(item)] if isinstance(value, list) else []


def look_up(document: dict[str, Any], reference: str) -> Any:
    found: Any = document
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return found


def test_files_in_the_repository_are_fresh() -> None:
    expected = {f"schemas/{name}": text for name, text in FILES.items()}
    expected |= {f"doc/reference/{name}": text for name, text in pages().items()}
    stale = [name for name, text in expected.items() if not (ROOT / name).exists() or (ROOT / name).read_text() != text]
    assert stale == [], "run: make schemas"


def test_every_setting_has_a_meaning() -> None:
    rows = [line for line in pages()["settings.md"].splitlines() if line.startswith("| `")]
    assert [row for row in rows if row.endswith("|  |")] == []


def test_generating_twice_gives_the_same_files() -> None:
    assert files() == FILES


@pytest.mark.parametrize("name", sorted(name for name in FILES if name.endswith(".json")))
def test_schema_has_title_and_description(name: str) -> None:
    schema = json.loads(FILES[name])
    assert schema["$schema"] and schema["$id"] and schema["title"] and schema["description"]


def test_every_reference_of_the_asyncapi_document_resolves() -> None:
    document = asyncapi()
    for reference in references(document):
        if reference.startswith("./"):
            assert reference.removeprefix("./") in FILES
        else:
            assert look_up(document, reference)


def test_asyncapi_document_names_every_topic_and_event() -> None:
    document = asyncapi()
    families = {family.prefix.removesuffix(".") for family in FAMILIES}
    assert set(document["channels"]) == {topic.name for topic in TOPICS} | families
    assert set(document["components"]["messages"]) == {route.event.type for route in ROUTES}


def test_every_topic_is_created_and_writable_only_for_its_writer() -> None:
    topics, acls = FILES["topics.sh"], FILES["acls.sh"]
    for topic in TOPICS:
        assert f"create {topic.name} {topic.partitions} " in topics
        writers = [line for line in acls.splitlines() if line.endswith(f" Write {topic.name}")]
        expected = list(Role) if topic is DEAD_LETTER else [topic.writer]
        assert writers == [f'allow "${role.name}_USER" Write {topic.name}' for role in expected]


def test_queues_are_allowed_by_prefix_and_shared_by_runners() -> None:
    acls = FILES["acls.sh"].splitlines()
    assert 'allow_all "$SCHEDULER_USER" Write cb.queue.' in acls
    assert 'allow_all "$RUNNER_USER" Read cb.queue.' in acls
    assert [line for line in acls if line.startswith("join ")] == ['join "$RUNNER_USER" cb.queue']
    assert f'create "{QUEUE.prefix}$queue" 1 ' in FILES["topics.sh"]


def test_only_runners_get_more_than_describe_on_a_group() -> None:
    acls = FILES["acls.sh"].splitlines()
    described = [line for line in acls if line.startswith("describe ")]
    assert described == [f'describe "${role.name}_USER" {READER_GROUP}' for role in Role]
    assert "Alter" not in FILES["acls.sh"] and "Create" not in FILES["acls.sh"]


def test_stale_files_are_named_and_rewritten_once(tmp_path: Path) -> None:
    run = CliRunner()
    assert run.invoke(main, [str(tmp_path)]).exit_code == 0
    assert run.invoke(main, ["--check", str(tmp_path)]).exit_code == 0
    (tmp_path / "asyncapi.yaml").write_text("old")
    (tmp_path / "left-over.json").write_text("{}")
    result = run.invoke(main, ["--check", str(tmp_path)])
    assert result.exit_code == 1
    assert "asyncapi.yaml" in result.output and "left-over.json" in result.output


def accepts(schema_file: str, body: Any) -> bool:
    schema = json.loads(FILES[schema_file])
    Draft202012Validator.check_schema(schema)
    return bool(Draft202012Validator(schema).is_valid(body))


@pytest.mark.parametrize("sample", sorted((ROOT / "test/golden/events").glob("*.json")), ids=lambda path: path.stem)
def test_golden_sample_fits_its_schema(sample: Path) -> None:
    assert accepts(f"events/{sample.name}", json.loads(sample.read_text()))


@pytest.mark.parametrize("manifest", sorted((ROOT / "sources-example").rglob("cloud_builder.yml")), ids=str)
def test_example_manifest_fits_the_schema_that_it_names(manifest: Path) -> None:
    first, *_ = manifest.read_text().splitlines()
    schema = (manifest.parent / first.partition("$schema=")[2]).resolve()
    assert accepts(schema.name, yaml.safe_load(manifest.read_text()))
    assert schema.parent == ROOT / "schemas"


@pytest.mark.parametrize(
    "body",
    [
        {"schema_version": 1.0, "name": "hello"},
        {"schema_version": 1.0, "name": "hello", "distributions": []},
        {"schema_version": 1.0, "name": "hello", "distributions": [{"dist": "bookworm", "arch": "amd64"}]},
        {"schema_version": 1.0, "name": "hello", "distributoins": [{"dist": "bookworm", "arch": "x86_64"}]},
    ],
)
def test_wrong_manifest_does_not_fit_the_schema(body: Any) -> None:
    assert not accepts("manifest-1.0.json", body)
