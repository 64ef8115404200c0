"""What an operators.yaml says, when somebody works, and who may take what."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from rules.compile.operators import compile_operators
from rules.files.errors import render
from rules.model import Need
from rules.routing.operators import Absence, Operator, Shift, is_on_shift, may_take, weight
from rules.routing.route import Wanted

NIGHT = Operator(
    "mia",
    hours=(Shift(frozenset({"fri"}), 22 * 60, 6 * 60),),
    timezone="Europe/Madrid",
    absences=(Absence(date(2026, 7, 10), date(2026, 7, 11)),),
)


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def told(text: str) -> list[str]:
    return [render(problem).splitlines()[0] for problem in compile_operators({"operators.yaml": text})[1]]


@pytest.mark.parametrize(
    ("moment", "works"),
    [
        ("2026-07-03T19:59", False),  # Friday, 21:59 in Madrid in summer
        ("2026-07-03T20:00", True),
        ("2026-07-04T03:59", True),  # the part after midnight belongs to Friday's shift
        ("2026-07-04T04:00", False),
        ("2026-07-04T20:00", False),  # Saturday has none
        ("2026-01-02T20:30", False),  # in winter the same hour is one later in UTC
        ("2026-01-02T21:00", True),
        ("2026-07-10T20:00", False),  # away
    ],
)
def test_hours_are_read_where_the_operator_is_and_over_midnight(moment: str, works: bool) -> None:
    assert is_on_shift(NIGHT, at(moment)) is works


def test_whoever_has_no_hours_is_always_on_shift() -> None:
    assert is_on_shift(Operator("mia"), at("2026-07-04T04:00"))


def test_a_skill_counts_at_its_level_or_higher_and_a_language_by_its_first_part() -> None:
    mia = Operator("mia", skills={"law": 2}, languages=("es-MX",), queues=("tier1",))
    assert may_take(mia, "mia", Wanted(("tier1",), (Need("law", 2),), ("es",)))
    assert not may_take(mia, "mia", Wanted(("tier1",), (Need("law", 3),)))
    assert not may_take(mia, "mia", Wanted(("tier1",), (), ("de",)))
    assert not may_take(mia, "mia", Wanted(("tier2",)))
    assert may_take(mia, "mia", Wanted(("tier2", "tier1")))
    assert may_take(mia, "mia", Wanted(("tier2",), (Need("law", 3),), ("de",), "mia"))
    assert not may_take(mia, "mia", Wanted(("tier1",), operator="ben"))
    assert may_take(None, "anybody", Wanted(("tier1",), (Need("law", 9),), ("fi",)))
    assert (weight(None, "hold"), weight(Operator("x", weights={"hold": 3}), "hold")) == (1, 3)


def test_every_key_reaches_its_value() -> None:
    found, problems = compile_operators(
        {
            "operators.yaml": "handrail: 1\ntimezone: Europe/Madrid\noperators:\n"
            "- {name: mia, title: Mia, skills: {law: 3}, languages: [en, es], queues: [a, b], capacity: 4,\n"
            "   weights: {hold: 2}, hours: [{days: [mon], from: 9:00, to: '17:30'}, {from: '22:00', to: '06:00'}],\n"
            "   absences: [{from: 2026-12-24, to: 2026-12-27, why: holidays}, {from: 2027-01-01}], customers: [c1]}\n"
            "- {name: ben, skills: [law], timezone: UTC}\n"
        }
    )
    assert problems == ()
    every = frozenset({"mon", "tue", "wed", "thu", "fri", "sat", "sun"})
    assert found == (
        Operator(
            "mia",
            "Mia",
            {"law": 3},
            ("en", "es"),
            ("a", "b"),
            4,
            {"hold": 2},
            (Shift(frozenset({"mon"}), 540, 1_050), Shift(every, 1_320, 360)),
            "Europe/Madrid",
            (
                Absence(date(2026, 12, 24), date(2026, 12, 27), "holidays"),
                Absence(date(2027, 1, 1), date(2027, 1, 1)),
            ),
            ("c1",),
        ),
        Operator("ben", skills={"law": 1}),
    )


def test_what_is_wrong_is_told_all_at_once() -> None:
    text = (
        "timezone: Nowhere\n"
        "operators:\n"
        "- {name: m/ia, skills: {law: 0}, capacity: -1, weights: {call: 1, hold: x}}\n"
        "- {name: ben, hours: [{days: [monday], from: 9, to: '09:00'}, {from: '09:00', to: '09:00'}]}\n"
        "- {name: ben, absences: [{from: soon}, {from: 2026-02-02, to: 2026-02-01}]}\n"
        "- {title: x}\n"
        "- mia\n"
        "- {name: sam}\n"
        "- {name: sam}\n"
    )
    assert told(text) == [
        "operators.yaml:1:11: R109: `Nowhere` is no time zone",
        "operators.yaml:3:58: R105: unknown key `call` in `weights`",
        "operators.yaml:3:10: R108: `m/ia` cannot be the name of an operator",
        "operators.yaml:3:30: R116: the level of `law` is no whole number from 1 to 10",
        "operators.yaml:3:44: R116: `capacity` is no whole number from 0 to 1000",
        "operators.yaml:3:73: R116: the weight of a `hold` is no whole number from 0 to 1000",
        "operators.yaml:4:31: R109: `monday` is no `days`",
        "operators.yaml:4:46: R116: `from` is no time of day",
        "operators.yaml:4:84: R116: the shift ends when it begins",
        "operators.yaml:5:33: R116: `from` is no date",
        "operators.yaml:5:63: R116: the absence ends on 2026-02-01, before 2026-02-02",
        "operators.yaml:6:3: R106: an operator has no `name`",
        "operators.yaml:7:3: R116: an operator is not a map of keys",
        "operators.yaml:9:3: R107: the operator `sam` is declared twice",
    ]


@pytest.mark.parametrize("text", ["", "operators", "operators: mia", "rules: []", "[", "operators: [{}]"])
def test_a_file_that_is_none_declares_nobody(text: str) -> None:
    found, problems = compile_operators({"operators.yaml": text})
    assert found == ()
    assert [problem.severity for problem in problems][:1] == ["error"]
