import math

import pytest

from seq2attn.config import TrainConfig
from seq2attn.training.schedules import PlateauTracker, learning_rate, selection_score


@pytest.mark.parametrize("schedule", ["constant", "cosine", "inverse-sqrt", "plateau"])
def test_learning_rate_rises_linearly_to_the_highest(schedule):
    train = TrainConfig(lr=0.8, warmup=4, max_steps=100, schedule=schedule)
    assert [learning_rate(train, step) for step in (1, 2, 3, 4)] == pytest.approx([0.2, 0.4, 0.6, 0.8])


@pytest.mark.parametrize("schedule", ["constant", "cosine", "inverse-sqrt", "plateau"])
def test_learning_rate_without_warmup_starts_at_the_highest_or_just_below(schedule):
    train = TrainConfig(lr=0.5, warmup=0, max_steps=1000, schedule=schedule)
    assert learning_rate(train, 1) == pytest.approx(0.5, rel=1e-5)


def test_learning_rate_after_warmup():
    def at(schedule, step, **more):
        return learning_rate(
            TrainConfig(lr=1.0, warmup=10, max_steps=109, schedule=schedule, plateau_factor=0.25),
            step,
            **more,
        )

    assert at("constant", 60) == 1.0
    assert at("inverse-sqrt", 40) == pytest.approx(0.5)  # sqrt(10 / 40)
    assert at("cosine", 60) == pytest.approx(0.5)  # half way from 10 to 110
    assert at("cosine", 109) == pytest.approx(0.5 * (1 + math.cos(math.pi * 0.99)))
    assert at("cosine", 109) > 0
    assert at("plateau", 60) == 1.0
    assert at("plateau", 60, decays=2) == pytest.approx(1 / 16)


def test_learning_rate_of_cosine_follows_the_clock_when_that_ends_first():
    train = TrainConfig(lr=1.0, warmup=10, max_steps=10**6, schedule="cosine", max_minutes=30.0)
    assert learning_rate(train, 100, minutes=15.0) == pytest.approx(0.5)
    assert learning_rate(train, 100, minutes=31.0) == 0.0


def test_learning_rate_allows_warmup_longer_than_the_run():
    assert learning_rate(
        TrainConfig(lr=1.0, warmup=500, max_steps=10, schedule="cosine"), 10
    ) == pytest.approx(0.02)


def tracked(train: TrainConfig, scores: list[float]) -> PlateauTracker:
    tracker = PlateauTracker()
    for score in scores:
        tracker = tracker.update(train, (score, 0.0))
    return tracker


def test_plateau_tracker_keeps_the_best_score():
    tracker = tracked(TrainConfig(), [1.0, 3.0, 2.0])
    assert (tracker.best, tracker.since_best) == ((3.0, 0.0), 1)


def test_plateau_tracker_prefers_the_smaller_loss_among_equal_scores():
    train = TrainConfig()
    tracker = (
        PlateauTracker().update(train, (0.0, -5.0)).update(train, (0.0, -4.0)).update(train, (0.0, -4.0))
    )
    assert (tracker.best, tracker.since_best) == ((0.0, -4.0), 1)


def test_plateau_tracker_decays_after_every_so_many_validations_without_gain():
    train = TrainConfig(schedule="plateau", plateau_patience=2)
    assert [tracked(train, [5.0] * (1 + more)).decays for more in range(6)] == [0, 0, 1, 1, 2, 2]
    assert tracked(train, [5, 5, 6, 5, 7, 5]).decays == 0


@pytest.mark.parametrize("schedule", ["constant", "cosine", "inverse-sqrt", "plateau"])
def test_plateau_tracker_exhausts_patience_under_every_schedule(schedule):
    train = TrainConfig(schedule=schedule, patience=3, plateau_patience=1)
    assert not tracked(train, [5, 4, 4]).exhausted(train)
    assert tracked(train, [5, 4, 4, 4]).exhausted(train)
    assert not tracked(train, [5, 4, 4, 6]).exhausted(train)
    assert not tracked(train.model_copy(update={"patience": 0}), [5] * 50).exhausted(
        TrainConfig(schedule=schedule)
    )


# A metric near zero


def compared(
    scores: list[tuple[float, float, int, float]], **settings: object
) -> tuple[list[int], PlateauTracker]:
    """Which of (metric, loss, sentences, chrF) were the best so far, and the tracker after them."""
    train, tracker, best = TrainConfig(**settings), PlateauTracker(), []
    for number, score in enumerate(scores):
        before, tracker = tracker, tracker.update(train, selection_score(train, *score))
        best += [number] if tracker.best != before.best else []
    return best, tracker


@pytest.mark.parametrize(
    ("metric", "scores"),
    [
        ("bleu", [(0.2, 5.9, 0, 0), (0.0, 4.8, 0, 0), (0.9, 4.7, 1000, 0), (0.0, 4.6, 1000, 0)]),
        ("bleu", [(3.09, 5.9, 5, 0), (2.92, 4.8, 5, 0), (0.0, 4.7, 5, 0)]),
        ("bleu", [(7.9, 5.9, 1, 0), (0.0, 4.8, 1, 0)]),
        ("cider", [(0.049, 5.9, 1000, 0), (0.001, 4.8, 1000, 0)]),
        ("cider", [(0.13, 5.9, 5, 0), (0.1, 4.8, 5, 0)]),
    ],
)
def test_selection_score_near_zero_follows_the_loss_so_nothing_stops_while_it_falls(metric, scores):
    best, tracker = compared(scores, metric=metric, patience=1, schedule="plateau", plateau_patience=1)
    assert best == list(range(len(scores)))
    assert (tracker.since_best, tracker.decays) == (0, 0)


def test_selection_score_near_zero_follows_chrf_among_equal_losses():
    scores = [(0.2, 4.8001, 0, 12.0), (0.1, 4.8003, 0, 14.0), (0.3, 4.8, 0, 13.9), (0.0, 4.798, 0, 1.0)]
    assert compared(scores)[0] == [0, 1, 3]


def test_selection_score_above_chance_beats_any_loss():
    scores = [
        (0.5, 4.0, 99, 30),
        (1.2, 5.0, 99, 10),
        (1.1, 3.0, 99, 50),
        (0.9, 2.0, 99, 60),
        (3.0, 6.0, 99, 0),
    ]
    best, tracker = compared(scores)
    assert best == [0, 1, 4]
    assert tracker.best == (3.0, -6.0)


def test_selection_score_of_a_loss_is_never_near_zero():
    train = TrainConfig(metric="loss")
    assert selection_score(train, -0.5, 0.5) == (-0.5, -0.5)
