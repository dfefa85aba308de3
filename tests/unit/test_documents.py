"""The documents hold together: links lead somewhere, what they name exists, and the README stays short."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

DOCUMENTS = [Path("README.md"), Path("CONTRIBUTING.md"), Path("CHANGELOG.md"), *sorted(Path("docs").glob("*.md"))]
RULES = Path("docs/bucket-protocol.md")
CODE = [path for folder in ("libs", "services", "deploy", "tests") for path in Path(folder).rglob("*.py")]
_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def anchors(document: Path) -> set[str]:
    """Those of its headings, as GitHub and most others make them, and those that it sets itself."""
    text = document.read_text()
    headings = re.findall(r"^#+ (.+)$", _FENCED.sub("", text), re.MULTILINE)
    slugs = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return slugs | rules(text)


def rules(text: str) -> set[str]:
    return set(re.findall(r'<a id="([\w-]+)"></a>', text))


def commands(text: str) -> Iterator[str]:
    """The lines of blocks of commands, and what stands in code within a sentence."""
    for block in _FENCED.findall(text):
        yield from block.splitlines()[1:-1]
    yield from (code for _, code in re.findall(r"(`+)(.+?)\1", _FENCED.sub("", text)))


def test_the_readme_is_short() -> None:
    assert len(Path("README.md").read_text().splitlines()) <= 150


def test_the_readme_leads_to_every_document() -> None:
    readme = Path("README.md").read_text()
    for document in DOCUMENTS[1:]:
        assert f"]({document})" in readme, "a document that nobody finds"


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", _FENCED.sub("", document.read_text())):
        if target.startswith(("https://", "http://")):
            continue
        path, _, anchor = target.partition("#")
        there = document.parent / path if path else document
        assert there.exists(), target
        if anchor:
            assert anchor in anchors(there), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_paths_that_are_named_exist(document: Path) -> None:
    for path in re.findall(
        r"`((?:libs|services|deploy|tests|common|ingest|resizer|publisher)/[\w./-]+)`", text(document)
    ):
        assert Path(path).exists(), f"{path}: a path is told from the root of the repository"


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_code_that_is_named_is_one_click_away(document: Path) -> None:
    """A file of code is a link whose text is its path; the functions or classes named before it are defined there."""
    told = re.sub(r"\s+", " ", text(document))
    for path, before in [(found[1], told[: found.start()]) for found in re.finditer(r"`([\w./-]+/[\w.-]+\.py)`", told)]:
        assert before.endswith("["), f"{path} is no link"
    for names, path, target in re.findall(
        r"((?:(?:`[\w.]+`(?:, | and ))*`[\w.]+` in )?)\[`([^`]+\.py)`\]\(([^)\s]+)\)", told
    ):
        assert (document.parent / target).resolve() == Path(path).resolve(), target
        for name in re.findall(r"`([\w.]+)`", names):
            last = name.rpartition(".")[2]
            assert re.search(rf"^ *(async def|def|class) {last}\b|^{last} = ", Path(path).read_text(), re.MULTILINE), (
                name
            )


def text(document: Path) -> str:
    return _FENCED.sub("", document.read_text())


def test_every_target_of_make_is_documented_and_no_other() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):.*##", Path("Makefile").read_text(), re.MULTILINE))
    named = {
        target
        for document in DOCUMENTS
        for command in commands(document.read_text())
        for target in re.findall(r"(?:^|\s)make ([a-z0-9-]+)", command)
    }
    assert named == targets


def test_ci_runs_the_tests_of_every_folder() -> None:
    ci = re.findall(r"^\s*make ([a-z0-9-]+)$", Path(".ci/run").read_text(), re.MULTILINE)
    folders = {path.parent.name for path in Path("tests").glob("*/test_*.py")}
    targets = "\n".join(
        subprocess.run(["make", "-n", target], check=True, capture_output=True, text=True).stdout for target in ci
    )
    assert {folder for folder in folders if not re.search(rf"\b{folder}\b", targets)} == set()


def test_the_services_of_compose_that_are_named_exist() -> None:
    services = set(re.findall(r"^  ([a-z0-9-]+):$", Path("docker-compose.yml").read_text(), re.MULTILINE))
    for document in DOCUMENTS:
        for command in commands(document.read_text()):
            for name in re.findall(
                r"docker compose (?:run (?:-\S+ (?:\"[^\"]+\" )?)*|exec (?:-T )?)([a-z-]+)", command
            ):
                assert name in services, command


def test_rules_that_the_code_cites_are_in_the_rule_book() -> None:
    known = anchors(RULES)
    for path in CODE:
        for cited in re.findall(r"docs/bucket-protocol\.md#([\w-]+)", path.read_text()):
            assert cited in known, f"{path} cites {cited}"
        assert not re.search(r"\brules? \d", path.read_text()), f"{path}: rules have names"
        for document, _, anchor in re.findall(r"\b(docs/[\w-]+\.md)(#([\w-]+))?", path.read_text()):
            assert Path(document).exists(), f"{path} names {document}"
            assert not anchor or anchor in anchors(Path(document)), f"{path} names {document}#{anchor}"


def test_every_rule_shows_its_name() -> None:
    told = RULES.read_text()
    assert [rule for rule in rules(told) if f"`{rule}`" not in told] == []


def test_every_rule_is_cited_by_the_code_that_follows_it() -> None:
    cited = {
        anchor
        for path in CODE
        if path.parts[0] in ("libs", "services")
        for anchor in re.findall(r"docs/bucket-protocol\.md#([\w-]+)", path.read_text())
    }
    assert rules(RULES.read_text()) <= cited
