"""Addresses: one form, a class, and hashes that tell nothing without the key."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import ROOT
from engagement.addresses import (
    Address,
    AddressBook,
    Hasher,
    SenderPatterns,
    domain_in_ascii,
    load_hash_key,
    normalised,
    website_domain,
)
from engagement.errors import ConfigurationError

SEED = ROOT / "seeds" / "automated_sender_patterns.csv"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("kim@contoso.example", "kim@contoso.example"),
        ("  Kim@Contoso.Example \n", "kim@contoso.example"),
        ("<kim@contoso.example>", "kim@contoso.example"),
        ('"Kim, Lee" <kim@contoso.example>', "kim@contoso.example"),
        ("mailto:KIM@contoso.example", "kim@contoso.example"),
        ("SMTP:kim@contoso.example", "kim@contoso.example"),
        ("kim+news@contoso.example", "kim@contoso.example"),
        ("kim+a+b@contoso.example", "kim@contoso.example"),
        ("+news@contoso.example", "+news@contoso.example"),
        ("kim@contoso.example.", "kim@contoso.example"),
        ("kim@BÜCHER.example", "kim@xn--bcher-kva.example"),
        ("kim@bücher。example", "kim@xn--bcher-kva.example"),
        ("kim@faß.example", "kim@xn--fa-hia.example"),
        ("kim@my_host.example", "kim@my_host.example"),
        ("o'neil@contoso.example", "o'neil@contoso.example"),
        ('"a@b"@contoso.example', '"a@b"@contoso.example'),
        ("/O=EXCHANGELABS/OU=X/CN=RECIPIENTS/CN=Kim", "/o=exchangelabs/ou=x/cn=recipients/cn=kim"),
        ("X500:/O=Corp/CN=Kim", "/o=corp/cn=kim"),
    ],
)
def test_one_form(raw: str, expected: str) -> None:
    address = normalised(raw)
    assert address is not None
    assert address.text == expected


@pytest.mark.parametrize(
    "raw", [None, "", "  ", "kim", "@contoso.example", "kim@", "kim@.", "kim lee@contoso.example"]
)
def test_what_is_no_address(raw: str | None) -> None:
    assert normalised(raw) is None


def test_x500_has_no_domain() -> None:
    address = normalised("/o=exchangelabs/cn=kim@old")
    assert address is not None and address.is_x500


@settings(max_examples=30, deadline=None)
@given(st.emails())
def test_normalising_twice_changes_nothing(raw: str) -> None:
    once = normalised(raw)
    assert once is not None
    assert normalised(once.text) == once


@given(st.text(max_size=40))
def test_no_text_breaks_it(raw: str) -> None:
    address = normalised(raw)
    assert address is None or address.domain is None or address.domain.isascii()


def test_labels_that_idna_refuses_stay_apart() -> None:
    """A lone symbol and a mix of directions are no valid labels; both get ASCII forms of their own."""
    one, other = domain_in_ascii("☕.example"), domain_in_ascii("☂.example")
    assert one.isascii() and other.isascii() and one != other
    assert domain_in_ascii("a" * 70 + "é.example").isascii()


@pytest.mark.parametrize(
    ("website", "expected"),
    [
        ("contoso.example", "contoso.example"),
        ("https://www.Contoso.example/a", "contoso.example"),
        ("  HTTP://WWW.CONTOSO.EXAMPLE?x=1#y ", "contoso.example"),
        ("//contoso.example/a", "contoso.example"),
        ("contoso.example:443", "contoso.example"),
        ("https://contoso.example:8443/a:b", "contoso.example"),
        ("http://user@contoso.example", "contoso.example"),
        ("http://user:secret@contoso.example/@kim", "contoso.example"),
        ("contoso.example/@kim", "contoso.example"),
        ("www.contoso.example.", "contoso.example"),
        # a subdomain is a domain of its own, and only www. in front is left out
        ("https://mail.contoso.example", "mail.contoso.example"),
        ("www2.contoso.example", "www2.contoso.example"),
        ("shop.www.contoso.example", "shop.www.contoso.example"),
        ("www.com", "www.com"),
        ("b\u00fccher.example", "xn--bcher-kva.example"),
        ("https://www.B\u00dcCHER.example/", "xn--bcher-kva.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("http://contoso.xn--p1ai", "contoso.xn--p1ai"),
        ("\u043f\u0440\u0438\u043c\u0435\u0440.\u0440\u0444", "xn--e1afmkfd.xn--p1ai"),
    ],
)
def test_the_domain_of_a_website(website: str, expected: str) -> None:
    assert website_domain(website) == expected
    address = normalised(f"kim@{expected}")
    assert address is not None and address.domain == expected


@pytest.mark.parametrize(
    "website",
    [None, "", "  ", "n/a", "-", "none", "http://", "www.", "https://contoso", "N.A.", "3.5", "kim@contoso.example",
     "mailto:kim@contoso.example", "Kim <kim@contoso.example>", "ftp://contoso.example", "10.0.0.1", "http://10.0.0.1:80/",
     "https://[2001:db8::1]/", "http://[broken", "a.example, b.example", "a.example;b.example",
     "Contoso Inc. Berlin", "http://con toso.example", "a..example", f"{'a' * 64}.example", f"{'a.' * 130}example",
     "\u2603", "c\u2100.example"],
)  # fmt: skip
def test_what_is_no_website(website: str | None) -> None:
    assert website_domain(website) is None


@given(st.text(max_size=60))
def test_the_domain_of_anything_is_a_domain_or_none(text: str) -> None:
    for domain in (website_domain(text), website_domain(f"https://{text}.example/")):
        assert domain is None or (domain.isascii() and "@" not in domain and website_domain(domain) == domain)


@pytest.mark.parametrize(
    ("local_part", "expected"),
    [
        ("no-reply", "automated"),
        ("NoReply-4711", "automated"),
        ("mailer-daemon", "automated"),
        ("newsletter", "automated"),
        ("info", "role"),
        ("support", "role"),
        ("kim", "person"),
        ("information.kim", "person"),
        ("newsom", "person"),
    ],
)
def test_classes_of_the_seed(local_part: str, expected: str) -> None:
    address = normalised(f"{local_part}@contoso.example")
    assert address is not None
    assert SenderPatterns.load(SEED).class_of(address) == expected


def test_first_pattern_wins_and_must_match_whole(tmp_path: Path) -> None:
    path = tmp_path / "patterns.csv"
    path.write_text("pattern,local_part_class,why\nnews.*,role,a\nnewsletter,automated,b\n")
    patterns = SenderPatterns.load(path)
    assert patterns.class_of(Address("newsletter@x.example", "newsletter", "x.example")) == "role"
    assert patterns.class_of(Address("mynews@x.example", "mynews", "x.example")) == "person"


@pytest.mark.parametrize(
    ("line", "said"),
    [("(,role,x", "line 2: not a regular expression"), ("x,robot,x", "line 2: local_part_class 'robot'")],
)
def test_a_wrong_pattern_is_named(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "patterns.csv"
    path.write_text(f"pattern,local_part_class,why\n{line}\n")
    with pytest.raises(ConfigurationError, match=said.replace("(", r"\(")):
        SenderPatterns.load(path)


def test_hashes_are_signed_64_bit_keyed_and_apart_by_kind() -> None:
    one, other = Hasher(b"k" * 32), Hasher(b"l" * 32)
    text = "kim@contoso.example"
    values = [
        one.address(text),
        one.item(text),
        one.message(text),
        one.ical(text),
        one.mailbox(text),
        one.thread(text.encode()),
    ]
    assert len(set(values)) == len(values)
    assert all(-(2**63) <= value < 2**63 for value in values)
    assert one.address(text) == Hasher(b"k" * 32).address(text)
    assert one.address(text) != other.address(text)
    assert one.mailbox("ABC") == one.mailbox("abc")


def test_the_book_collects_each_address_once_before_its_key_is_known() -> None:
    book = AddressBook(Hasher(b"k" * 32), SenderPatterns.load(SEED))
    forms = ["Kim@contoso.example", "kim+x@contoso.example", "<kim@contoso.example>"]
    assert len({book.key(form) for form in forms}) == 1
    assert book.key("nobody") is None and book.key(None) is None
    rows = book.drain()
    assert rows == [(book.key(forms[0]), "contoso.example", "person")]
    assert book.drain() == []
    book.put_back(rows)
    assert book.drain() == rows


def test_threads_lose_no_address() -> None:
    book = AddressBook(Hasher(b"k" * 32), SenderPatterns.load(SEED))
    seen: list[int | None] = []

    def work(first: int) -> None:
        seen.extend(book.key(f"p{number}@x.example") for number in range(first, first + 3000))

    threads = [threading.Thread(target=work, args=(1000 * number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    drained = {row[0] for _ in range(50) for row in book.drain()}
    for thread in threads:
        thread.join()
    assert drained | {row[0] for row in book.drain()} == set(seen)


def test_the_key_file_is_made_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "data" / "hash_key"
    first = load_hash_key(None, path)
    assert len(first) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_hash_key(None, path) == first
    assert [entry.name for entry in path.parent.iterdir()] == ["hash_key"]


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "hash_key"
    load_hash_key(None, path)
    path.chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        load_hash_key(None, path)


def test_a_broken_or_short_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "hash_key"
    path.touch(0o600)
    with pytest.raises(ConfigurationError, match="not a hash key"):
        load_hash_key(None, path)
    with pytest.raises(ConfigurationError, match="ENGAGEMENT_HASH_KEY: has 5 characters"):
        load_hash_key("short", path)
    assert load_hash_key("a long random text", path) != load_hash_key("another random text", path)


def test_a_tag_is_kept_for_asking_a_directory_alone() -> None:
    raw = "  <Kim+Jobs@B\u00fccher.example.> "
    asked, hashed = normalised(raw, keep_tag=True), normalised(raw)
    assert asked is not None and hashed is not None
    assert asked.text == "kim+jobs@xn--bcher-kva.example"
    assert hashed.text == "kim@xn--bcher-kva.example"
