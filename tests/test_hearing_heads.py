"""Heads on worlds where the truth is known: callers that differ, moods that last, histories of one kind."""

from __future__ import annotations

import numpy as np
import pytest

from processors.hearing.heads import Head, HeadError, grouped


@pytest.fixture
def head() -> Head:
    """Low and high two apart, callers as different as that."""
    return Head(
        classes=("low", "high"),
        mean=np.zeros(1),
        projection=np.eye(1),
        centres=np.array([[-2.0], [2.0]]),
        within=np.eye(1) * 0.5,
        between=np.eye(1) * 2.0,
    )


def after(head: Head, turns: list[float]):
    known = head.stranger()
    for turn in turns:
        known = head.learn(np.array([turn]), known)
    return known


def high(head: Head, turn: float, before: list[float]) -> float:
    return float(head.posterior(np.array([turn]), after(head, before))[1])


def test_of_a_stranger_it_is_less_sure(head):
    assert 0.5 < high(head, 1.0, []) < high(head, 1.0, [-2.0, 2.0, -2.0, 2.0, -2.0, 2.0])


def test_a_caller_who_sounds_excited_by_nature_is_told_from_one_who_is(head):
    # This caller's low is at 0 and high at 4, where others have -2 and 2.
    assert high(head, 0.0, [0.1, 3.9, -0.1, 4.1, 0.0, 4.0]) < 0.05


def test_a_mood_that_lasts_is_still_that_mood(head):
    assert high(head, 2.0, [2.0] * 10) > 0.9
    assert high(head, -2.0, [-2.0] * 10) < 0.1


def test_neutral_turns_only_tell_where_neutral_is(head):
    assert high(head, 3.0, [-1.0] * 10) > 0.95
    assert high(head, -1.0, [-1.0] * 10) < 0.05


def test_knowledge_grows_with_turns(head):
    spreads = [float(after(head, [-2.0, 2.0] * n).covariance[0, 0]) for n in range(5)]
    assert spreads == sorted(spreads, reverse=True)


def test_a_turn_of_less_weight_teaches_less(head):
    full, half = (head.learn(np.array([-3.0]), head.stranger(), weight) for weight in (1.0, 0.3))
    assert full.mean < half.mean < 0
    assert full.covariance < half.covariance


def test_many_callers_at_once_are_each_as_alone(head):
    random = np.random.default_rng(0)
    many = Head(
        classes=("a", "b", "c"),
        mean=np.zeros(2),
        projection=np.eye(2),
        centres=random.standard_normal((3, 2)) * 2,
        within=np.array([[1.0, 0.2], [0.2, 0.7]]),
        between=np.array([[0.8, -0.1], [-0.1, 0.5]]),
    )
    points = random.standard_normal((5, 2))
    known = many.stranger()
    together = many.learn(points, type(known)(np.zeros((5, 2)), np.broadcast_to(known.covariance, (5, 2, 2))))
    for n, point in enumerate(points):
        alone = many.learn(point, known)
        assert np.allclose(together.mean[n], alone.mean)
        assert np.allclose(together.covariance[n], alone.covariance)
        assert np.allclose(many.posterior(points, together)[n], many.posterior(point, alone))


def test_what_is_saved_is_loaded(head, tmp_path):
    head.save(tmp_path / "a.npz")
    head.save(tmp_path / "b.npz")
    again = Head.load(tmp_path / "a.npz")
    assert again.classes == head.classes
    assert np.allclose(again.centres, head.centres)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_file_that_is_no_head_is_refused_in_one_line(tmp_path):
    (tmp_path / "head.npz").write_bytes(b"no")
    with pytest.raises(HeadError, match=r"head\.npz") as error:
        Head.load(tmp_path / "head.npz")
    assert "\n" not in str(error.value)
    with pytest.raises(HeadError, match="absent"):
        Head.load(tmp_path / "absent.npz")


def test_worth_is_of_the_classes_that_have_one():
    chances = np.array([[0.5, 0.25, 0.25], [0.0, 1.0, 0.0]])
    assert grouped(("odd", "angry", "sad"), chances, {"angry": 1, "sad": 0}) == pytest.approx([0.5, 1.0])
