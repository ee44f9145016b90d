"""The benchmark of exports, smaller: within twice the time of DuckDB's own COPY."""

from __future__ import annotations

import json

import pytest

from benchmarks import export


@pytest.mark.long
def test_an_export_takes_at_most_twice_as_long_as_a_copy(capsys: pytest.CaptureFixture[str]) -> None:
    code = export.main(["--rows", "300000", "--repetitions", "5", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert set(found["times_copy"]) == set(export.CASES)
    assert code == 0, found


def test_it_fails_above(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    seconds = {"table": ([2.1], [1.0]), "segment": ([1.0], [1.0])}
    monkeypatch.setattr(export, "measured", lambda *_: seconds)
    assert export.main([]) == 1
    assert "2.10 times (at most 2.0)" in capsys.readouterr().out
    seconds["table"] = ([2.0], [1.0])
    assert export.main([]) == 0
