"""Names, websites and countries in one form, and compared: alphabets, legal forms, spellings, what must not agree."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engagement.errors import ConfigurationError
from engagement.leadspace.comparing import Comparer
from engagement.matching.names import NameWords, compare, normalised
from engagement.matching.places import Countries, registrable_domain
from project_fixtures import ROOT

WORDS = NameWords.load(ROOT / "seeds" / "company_name_words.csv")


@pytest.fixture(scope="module")
def countries() -> Countries:
    return Countries.load(ROOT / "seeds" / "country_spellings.csv")


def compared(left: str | None, right: str | None):  # type: ignore[no-untyped-def]
    return compare(normalised(left, WORDS), normalised(right, WORDS))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("Contoso Ltd", "CONTOSO LIMITED"),
        ("The Home Depot, Inc.", "Home Depot (The)"),
        ("Lowe's Companies, Inc.", "Lowe\u2019s"),
        ("AT&T", "A.T. & T. Corp"),
        ("Toys \u201cR\u201d Us", "Toys `R` Us"),
        ("Johnson & Johnson", "Johnson and Johnson"),
        ("W.W. Grainger, Inc.", "WW Grainger"),
        ("Soci\u00e9t\u00e9 G\u00e9n\u00e9rale S.A.", "Societe Generale"),
        ("S\u00fcdzucker AG", "Sudzucker"),
        ("\u0160koda Auto a.s.", "Skoda Auto"),
        ("Intl. Business Machines", "International Business Machines Corp."),
        ("PetroChina", "Petro China Company Limited"),
        ("PT Bank Mega Tbk", "Bank Mega"),
        ("Baoshan Iron & Steel Co., Ltd.", "Baoshan Iron and Steel"),
        ("CEMEX, S.A.B. de C.V.", "Cemex"),
        ("\u0413\u0430\u0437\u043f\u0440\u043e\u043c \u041f\u0410\u041e", "Gazprom"),  # Cyrillic, form after it
        ("\u041f\u0410\u041e \u041b\u0423\u041a\u041e\u0419\u041b", "Lukoil"),  # and before it
        ("\u042f\u043d\u0434\u0435\u043a\u0441", "Yandex"),
        ("\u049a\u0430\u0437\u0430\u049b\u0442\u0435\u043b\u0435\u043a\u043e\u043c \u0410\u049a", "Kazakhtelecom JSC"),
        ("\u041a\u0430\u0437\u0430\u0445\u0442\u0435\u043b\u0435\u043a\u043e\u043c", "Kazakhtelecom"),
        ("\u0422\u041e\u041e \u041a\u0430\u0441\u043f\u0438", "Kaspi"),
        ("\u039f\u03a4\u0395 \u0391.\u0395.", "OTE"),  # Greek
        ("\u682a\u5f0f\u4f1a\u793e\u30bd\u30cb\u30fc", "\u30bd\u30cb\u30fc"),  # one script, legal form before it
        ("\u30bd\u30cb\u30fc\uff08\u682a\uff09", "\u30bd\u30cb\u30fc\u682a\u5f0f\u4f1a\u793e"),  # full-width brackets
        ("\u534e\u4e3a\u6280\u672f\u6709\u9650\u516c\u53f8", "\u534e\u4e3a\u6280\u672f"),
    ],
)  # fmt: skip
def test_one_company_in_two_spellings_is_equal(left: str, right: str) -> None:
    assert compared(left, right).is_equal


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("Avista", "Avista Energy"),
        ("Lucid Energy", "Lucid Energy Group"),
        ("Heineken N.V.", "Heineken Holding N.V."),
        ("Hanjin Heavy Industries Co., Ltd.", "Hanjin Heavy Industries Holdings Co., Ltd."),
        ("El Paso Electric", "El Paso Corp"),
        ("Anritsu Corporation", "Sanritsu Corporation"),
        ("Nippon Steel", "Nippon Signal"),
        ("Limited", "Company"),
        ("\u042f\u043d\u0434\u0435\u043a\u0441", "Contoso"),
    ],
)
def test_a_part_a_parent_or_another_company_is_not_equal(left: str, right: str) -> None:
    assert not compared(left, right).is_equal


@pytest.mark.parametrize(
    ("left", "right", "is_contained", "is_acronym", "is_comparable"),
    [
        ("Avista", "Avista Energy", True, False, True),
        ("IBM", "International Business Machines", False, True, True),
        ("AE", "American Electric", False, False, True),  # two letters stand for too many
        ("\u30c8\u30e8\u30bf\u81ea\u52d5\u8eca\u682a\u5f0f\u4f1a\u793e", "Toyota Motor Corporation", True, False, True),
        ("\u534e\u4e3a\u6280\u672f\u6709\u9650\u516c\u53f8", "Huawei Technologies Co., Ltd.", True, False, True),
        # A translation cannot be told from another company.
        ("\u0395\u03bb\u03bb\u03b7\u03bd\u03b9\u03ba\u03ac \u03a0\u03b5\u03c4\u03c1\u03ad\u03bb\u03b1\u03b9\u03b1", "Hellenic Petroleum", False, False, False),
        ("\u65e5\u672c\u96fb\u4fe1\u96fb\u8a71\u682a\u5f0f\u4f1a\u793e", "NTT", False, False, False),
        ("Contoso", None, False, False, False),
        ("Contoso", "!!!", False, False, False),
        ("Contoso", "Fabrikam", False, False, True),
    ],
)  # fmt: skip
def test_names_that_are_not_equal_say_how_they_differ(
    left: str, right: str | None, is_contained: bool, is_acronym: bool, is_comparable: bool
) -> None:
    found = compared(left, right)
    assert (found.is_contained, found.is_acronym, found.is_comparable) == (
        is_contained,
        is_acronym,
        is_comparable,
    )


names = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=40)


@given(names, names)
def test_comparing_is_symmetric_and_bounded_whatever_the_texts(left: str, right: str) -> None:
    found = compared(left, right)
    assert found == compared(right, left)
    assert found.similarity is None or 0 <= found.similarity <= 1
    assert not found.is_equal or found.is_comparable


@given(names)
def test_a_name_is_itself_and_its_form_is_stable(name: str) -> None:
    form = normalised(name, WORDS)
    assert form.words == () or compared(name, name).is_equal
    assert form.text.isascii() and form.text == form.text.lower()


@pytest.mark.parametrize(
    ("website", "domain"),
    [
        ("https://www.bbc.co.uk/news?x=1#y", "bbc.co.uk"),
        ("//shop.contoso.com.", "contoso.com"),
        ("contoso.github.io", "contoso.github.io"),  # a host of many, where each name is somebody's
        ("a.palo-alto.ca.us", "palo-alto.ca.us"),
        ("http://\u043f\u0440\u0438\u043c\u0435\u0440.\u0440\u0444", "xn--e1afmkfd.xn--p1ai"),
        ("kim@mail.contoso.com", "contoso.com"),
        ("mailto:kim@gmail.com", "gmail.com"),
        ("10.0.0.1", None), ("contoso", None), ("n/a", None), ("", None), (None, None), ("co.uk", None),
        ("ftp://contoso.com", None),
    ],
)  # fmt: skip
def test_a_website_is_the_domain_that_somebody_registered(website: str | None, domain: str | None) -> None:
    assert registrable_domain(website) == domain


@pytest.mark.parametrize(
    ("code", "spellings"),
    [
        ("US", ["US", "usa", "U.S.", "U.S.A.", "United States", "United States of America", "Estados Unidos"]),
        ("GB", ["UK", "gb", "GBR", "England", "Scotland", "Great Britain", "Vereinigtes K\u00f6nigreich"]),
        ("DE", ["Germany", "DEU", "Deutschland", "Allemagne", "Niemcy", "\u0413\u0435\u0440\u043c\u0430\u043d\u0438\u044f"]),
        ("KZ", ["KZ", "KAZ", "Kazakhstan", "\u049a\u0430\u0437\u0430\u049b\u0441\u0442\u0430\u043d", "\u041a\u0430\u0437\u0430\u0445\u0441\u0442\u0430\u043d"]),
        ("GR", ["Greece", "\u0395\u03bb\u03bb\u03ac\u03b4\u03b1", "GRC"]),
        ("JP", ["Japan", "\u65e5\u672c", "JPN"]),
        ("KR", ["South Korea", "Korea", "Republic of Korea", "Korea, Republic of"]),
        ("NL", ["The Netherlands", "Holland", "Pays-Bas"]),
        ("CZ", ["Czech Republic", "Czechia", "\u010cesko"]),
        ("CI", ["C\u00f4te d\u2019Ivoire", "Cote d'Ivoire", "Ivory Coast"]),
        ("HK", ["Hong Kong", "Hong Kong SAR", "Hong Kong, China"]),
        (None, ["Narnia", "", "Europe", "EU", "Netherlands/ United Kingdom", "XX", "Kong/China"]),
    ],
)  # fmt: skip
def test_a_country_in_any_usual_spelling_is_one_code(
    code: str | None, spellings: list[str], countries: Countries
) -> None:
    assert {spelling: countries.code(spelling) for spelling in spellings} == dict.fromkeys(spellings, code)


def test_a_changed_seed_is_another_set_of_rules_and_a_wrong_one_is_refused(tmp_path) -> None:  # type: ignore[no-untyped-def]
    from engagement.leadspace.comparing import rules_of

    seeds = tmp_path / "seeds"
    seeds.mkdir()
    for name in ("company_name_words.csv", "country_spellings.csv"):
        (seeds / name).write_bytes((ROOT / "seeds" / name).read_bytes())
    assert rules_of(tmp_path) == rules_of(ROOT)
    with (seeds / "company_name_words.csv").open("a", encoding="utf-8") as file:
        file.write("works,neutral,,Many are\n")
    assert rules_of(tmp_path) != rules_of(ROOT)
    facts = Comparer(tmp_path).compared(("Contoso Works", None, None), ("Contoso", None, None))
    assert facts[:4] == ("contoso", "contoso", 1.0, True)
    for text, place in (
        ("word,word_role,stands_for,why\nx,legal,,y\n", "company_name_words.csv line 2: word_role is one of"),
        ("word,word_role,stands_for,why\nx,abbreviation,,y\n", "company_name_words.csv line 2"),
        ("word\nx\n", "company_name_words.csv: cannot be read (KeyError)"),
    ):
        (seeds / "company_name_words.csv").write_text(text, encoding="utf-8")
        with pytest.raises(ConfigurationError) as refused:
            NameWords.load(seeds / "company_name_words.csv")
        assert place in refused.value.message
    (seeds / "country_spellings.csv").write_text(
        "spelling,country_code,why\nNarnia,NAR,y\n", encoding="utf-8"
    )
    with pytest.raises(ConfigurationError) as refused:
        Countries.load(seeds / "country_spellings.csv")
    assert "country_spellings.csv line 2: a spelling, and the country's code" in refused.value.message
