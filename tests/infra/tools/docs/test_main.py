import pytest

from infra.tools.docs.__main__ import DOCUMENTS, Document, outdated, write


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.file.name)
def test_the_document_of_the_tree_is_what_its_source_generates(document):
    assert outdated([document]) == []


def test_a_document_is_outdated_until_it_is_written_and_again_once_its_source_says_otherwise(tmp_path):
    source = ["first\n"]
    document = Document(tmp_path / "page.md", lambda: source[0])
    assert outdated([document]) == [document.file]

    write([document])
    assert outdated([document]) == []

    source[0] = "second\n"
    assert outdated([document]) == [document.file]
