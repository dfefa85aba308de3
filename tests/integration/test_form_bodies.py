"""Multipart bodies are read alike however they arrive: the bytes that were sent, or an answer that says what is wrong.

Here hypothesis cuts and damages what an upload's body consists of. The reader is that of the services.
"""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.support.exploration import some
from tests.support.form_bodies import (
    LIMIT,
    Part,
    body_of,
    boundaries,
    contents,
    cut,
    fields,
    files,
    names,
    places,
    request_with,
)

from common.http.bodies import BodyLimits, RequestRefused
from common.http.fields import read_fields
from ingest.http.client_limits import ClientLimits
from ingest.http.receive import receive_file
from ingest.http.upload_budget import UploadBudget

LIMITS = BodyLimits(bytes=LIMIT, seconds=60, idle_seconds=60)
BROWSER = "----WebKitFormBoundary7MA4YWxkTrZu0gW"
FILE = Part('form-data; name="file"; filename="x.jpg"', b"\xff\xd8\xff\r\n--\r\n" + BROWSER.encode() + b"\r\n-")
Answer = bytes | tuple[int, str]


async def received(pieces: Sequence[bytes], boundary: str, folder: Path) -> Answer:
    """What ingest stores of an upload, or the status and the message that refuse it."""
    try:
        clients = ClientLimits(trusted=(), uploads=1, upload_bytes=LIMIT, streams=1)
        async with receive_file(request_with(pieces, boundary), LIMITS, UploadBudget(folder, LIMIT), clients) as path:
            return path.read_bytes()
    except RequestRefused as refusal:
        return refusal.status, str(refusal)
    finally:
        assert list(folder.iterdir()) == []  # noqa: ASYNC240 - a folder


@pytest.mark.explores
async def test_a_body_that_is_cut_anywhere(tmp_path: Path) -> None:
    body = body_of(BROWSER, [FILE])
    pairs = [(first, second) for first in range(len(body)) for second in range(first, len(body))]
    for where in some(pairs, [(place, place) for place in range(len(body))]):
        assert await received(cut(body, where), BROWSER, tmp_path) == FILE.content, where


@pytest.mark.explores
@given(data=st.data())
async def test_an_upload_among_other_fields_is_stored_as_it_was_sent(data: st.DataObject, tmp_path: Path) -> None:
    boundary = data.draw(boundaries())
    file, others = data.draw(files(boundary)), data.draw(st.lists(fields(boundary), max_size=3))
    place = data.draw(st.integers(0, len(others)))
    around = st.binary(max_size=20).filter(lambda text: b"-" not in text)
    preamble, epilogue = (data.draw(around) for _ in range(2))
    body = preamble + b"\r\n" + body_of(boundary, [*others[:place], file, *others[place:]]) + epilogue
    assert await received(cut(body, data.draw(places())), boundary, tmp_path) == file.content


@pytest.mark.explores
@given(data=st.data())
async def test_what_is_damaged_is_answered_alike_however_it_arrives(data: st.DataObject, tmp_path: Path) -> None:
    boundary = data.draw(boundaries())
    body = bytearray(body_of(boundary, [data.draw(fields(boundary)), data.draw(files(boundary))]))
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(body)))
        body[start : start + data.draw(st.integers(0, 40))] = data.draw(contents(boundary))
    whole = await received([bytes(body)], boundary, tmp_path)
    assert isinstance(whole, bytes) or (whole[0] == 400 and whole[1].strip(" :") != "the body cannot be read")
    assert await received(cut(bytes(body), data.draw(places())), boundary, tmp_path) == whole


@pytest.mark.explores
@given(data=st.data())
async def test_a_body_that_ends_before_its_last_boundary_is_refused(data: st.DataObject, tmp_path: Path) -> None:
    body = body_of(BROWSER, [FILE])
    end = data.draw(st.integers(0, len(body) - len("--\r\n") - 1))
    answer = await received(cut(body[:end], data.draw(places())), BROWSER, tmp_path)
    assert isinstance(answer, tuple)
    assert answer[0] == 400


@pytest.mark.explores
@given(data=st.data())
async def test_fields_have_the_values_that_were_sent(data: st.DataObject) -> None:
    boundary = data.draw(boundaries())
    named = names().filter(lambda name: not name.endswith("\\"))
    values = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    sent = data.draw(st.dictionaries(named, values.filter(lambda value: f"--{boundary}" not in value), max_size=4))
    body = body_of(boundary, [Part(f'form-data; name="{name}"', value.encode()) for name, value in sent.items()])
    assert await read_fields(request_with(cut(body, data.draw(places())), boundary)) == sent


@pytest.mark.explores
@given(disposition=st.text(st.sampled_from("\";=*\\'0189 ,%") | st.characters(exclude_categories=["Cs"]), max_size=60))
@example(disposition=";" * 8000)
@example(disposition='form-data; name="file"; filename="' + ";" * 255 + '"')
@example(disposition="form-data; name*" + "9" * 6000 + "=file")
async def test_no_header_of_a_part_is_a_defect(disposition: str, tmp_path: Path) -> None:
    answer = await received([body_of(BROWSER, [Part(disposition, b"content")])], BROWSER, tmp_path)
    assert answer == b"content" or answer[0] == 400


@pytest.mark.parametrize(
    "disposition",
    [
        'form-data; name="file"; filename="sunrise; Mont Blanc; 2026.jpg"',
        'form-data; name="file"; filename="a;b=c;name=d;e.jpg"',
        r'form-data; name="file"; filename="a\";b\";c.jpg"',
        'form-data; name="file"; filename="ends with\\"',
        'form-data; name="file"; filename=""',
        "form-data; name=file; filename=photo of mine.jpg",
        'form-data; name="file"; filename="x.jpg"; filename*=UTF-8\'\'%E2%98%83.jpg',
        "form-data; name=\"file\"; filename*=nonsense''%ff.jpg",
        'Form-Data;  Name = "file" ; FileName = "x.jpg";',
    ],
)
async def test_names_of_files_as_clients_write_them(disposition: str, tmp_path: Path) -> None:
    assert await received([body_of(BROWSER, [Part(disposition, b"content")])], BROWSER, tmp_path) == b"content"


async def test_a_name_in_another_encoding(tmp_path: Path) -> None:
    body = body_of(BROWSER, [Part('form-data; name="file"; filename="é ☃.jpg"', b"content")])
    assert await received([body.replace("é".encode(), b"\xe9")], BROWSER, tmp_path) == b"content"


async def test_a_first_field_that_names_an_encoding_is_a_field_like_others(tmp_path: Path) -> None:
    charset = Part('form-data; name="_charset_"', b"utf-8")
    assert await received([body_of(BROWSER, [charset, FILE])], BROWSER, tmp_path) == FILE.content


async def test_parts_within_parts_are_refused(tmp_path: Path) -> None:
    inner = body_of("q", [FILE])
    mixed = Part('form-data; name="files"', inner, ("Content-Type: multipart/mixed; boundary=q",))
    answer = await received([body_of(BROWSER, [mixed])], BROWSER, tmp_path)
    assert answer == (400, "a part of the body has parts itself: expected files and fields")
