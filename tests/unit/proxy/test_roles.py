"""Which node leads, by what all of them say."""

from __future__ import annotations

from helios_cli.engine.proxy.roles import Claim, Lead, lead_of


def lead(*claims: Claim, known_term: int = 0, current: str | None = None) -> Lead:
    return lead_of(claims, known_term=known_term, current=current)


def test_the_only_one_leads_in_whatever_term() -> None:
    assert lead(Claim("a", True, 3), Claim("b", False, 3)) == Lead("a", 3)
    assert lead() == Lead(None, 0)
    assert lead(Claim("a", False, 7), known_term=2) == Lead(None, 2)


def test_the_higher_term_wins_whoever_led_before() -> None:
    claims = [Claim("old", True, 3), Claim("new", True, 4)]
    assert lead(*claims, current="old") == Lead("new", 4, ("old",))
    assert lead(*reversed(claims), current="old") == Lead("new", 4, ("old",))


def test_a_lower_term_is_never_believed_again() -> None:
    assert lead(Claim("old", True, 3), known_term=4, current="new") == Lead(None, 4, ("old",))


def test_a_term_that_nobody_here_leads_in_deposes_all_the_same() -> None:
    assert lead(Claim("a", True, 3), Claim("b", False, 3), known_term=4, current="a") == Lead(None, 4, ("a",))


def test_what_a_standby_shows_is_no_claim() -> None:
    assert lead(Claim("a", True, 3), Claim("b", False, 5)) == Lead("a", 3)


def test_one_that_does_not_answer_is_no_primary_but_stays_the_leader() -> None:
    assert lead(Claim("a", True, 3, answers=False), current="a") == Lead(None, 3)


def test_of_two_in_one_term_the_current_one_stays() -> None:
    both = [Claim("a", True, 1), Claim("b", True, 1)]
    assert lead(*both, current="b") == Lead("b", 1, ("a",))
    assert lead(*both) == Lead("a", 1, ("b",))
    hinted = [Claim("a", True, 1), Claim("b", True, 1, is_hinted=True)]
    assert lead(*hinted) == Lead("b", 1, ("a",))
    assert lead(*hinted, current="a") == Lead("a", 1, ("b",))


def test_the_other_takes_over_when_the_current_one_is_gone() -> None:
    assert lead(Claim("a", True, 1, answers=False), Claim("b", True, 1), current="a") == Lead("b", 1, ("a",))
