"""Scores of captions: the numbers of coco-caption, the slow truth of the papers, and what holds for any
captions.
"""

import random

import caption_examples as examples
import numpy as np
import pytest
import reference
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st

from seq2attn import __version__
from seq2attn.errors import UserError
from seq2attn.evaluation import caption_significance, captions, text
from seq2attn.evaluation.cider import CiderD
from seq2attn.evaluation.ptb_tokenizer import tokens
from seq2attn.evaluation.rouge import longest_common, rouge_l

# What pycocoevalcap 1.2 says of the examples with Stanford's tokenizer of its own. It adds 1e-9 to counts of
# BLEU.
FIVE = [
    90.55767337686217,
    80.90915703757949,
    66.17537406612436,
    51.42511546513035,
    1.544078821833784,
    66.29058658145696,
]
VARIED = [
    77.77777777720165,
    62.08922985273724,
    47.25278710344041,
    33.32410684154705,
    1.5735089495867058,
    63.045217405395384,
]
FIRST_CIDER = [
    1.2614173548311967,
    1.3523740744205894,
    1.981327544004559,
    2.211971330112694,
    1.959438344536831,
    0.6697146217189711,
]
FIRST_ROUGE = [
    55.70776255707762,
    61.12224448897796,
    76.72955974842766,
    73.34669338677354,
    78.00511508951408,
    33.33333333333333,
]

words = st.lists(st.sampled_from(["a", "b", "c", "d", "the", "dog"]), max_size=9)
corpora = st.lists(st.tuples(words, st.lists(words, min_size=1, max_size=4)), min_size=1, max_size=6)


def values(hypotheses, references):
    return [score.value for score in captions.scores(hypotheses, references)]


@pytest.mark.parametrize(
    ("references", "expected"), [(examples.CAPTIONS, FIVE), (examples.VARIED, VARIED)], ids=["five", "varied"]
)
def test_scores_of_real_captions_equal_coco_caption(references, expected):
    scores = captions.scores(examples.HYPOTHESES, references)
    assert [score.name for score in scores] == list(captions.METRICS)
    assert [score.value for score in scores[:4]] == pytest.approx(expected[:4], abs=1e-8)
    assert [score.value for score in scores[4:]] == pytest.approx(expected[4:], abs=1e-9)


def test_scores_of_each_caption_equal_coco_caption():
    ours, theirs = captions.tokenised(examples.HYPOTHESES, examples.CAPTIONS)
    assert CiderD(theirs).scores(ours)[:6].tolist() == pytest.approx(FIRST_CIDER, abs=1e-9)
    assert captions.rouge_l_values(ours, theirs)[:6].tolist() == pytest.approx(FIRST_ROUGE, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(corpora)
def test_scores_of_random_captions_equal_the_papers(corpus):
    ours, theirs = [hypothesis for hypothesis, _ in corpus], [references for _, references in corpus]
    scores = values(
        [" ".join(line) for line in ours], [[" ".join(line) for line in lines] for lines in theirs]
    )
    assert scores[:4] == pytest.approx(
        [reference.corpus_bleu(ours, theirs, n) for n in (1, 2, 3, 4)], abs=1e-9
    )
    cider = [reference.cider_d(line, lines, theirs) for line, lines in zip(ours, theirs, strict=True)]
    assert CiderD(theirs).scores(ours).tolist() == pytest.approx(cider, abs=1e-9)
    assert scores[4] == pytest.approx(sum(cider) / len(cider), abs=1e-9)
    rouge = [reference.rouge_l(line, lines) for line, lines in zip(ours, theirs, strict=True)]
    assert [rouge_l(line, lines) for line, lines in zip(ours, theirs, strict=True)] == pytest.approx(
        rouge, abs=1e-9
    )
    assert scores[5] == pytest.approx(sum(rouge) / len(rouge), abs=1e-9)


def test_bleu_equals_hand_computation():
    # Of 3 words the references hold "cat" and one "the", of 2 pairs "the cat"; 2 and 4 words are equally near
    # to 3, and the shorter is exceeded.
    scores = values(["the the cat"], [["a cat", "on the cat mat"]])
    assert scores[0] == pytest.approx(100 * 2 / 3)
    assert scores[1] == pytest.approx(100 * (2 / 3 * 1 / 2) ** 0.5)
    assert scores[2:4] == [0, 0]
    # no word is split again
    assert values(["stop !! now"], [["stop !! there"]])[0] == pytest.approx(100 * 2 / 3)


def test_cider_equals_hand_computation():
    # Two images; every word is of one alone, so each weighs log 2. Words: cosine 1/2; the pair differs;
    # nothing is longer.
    scorer = CiderD([["red dog"], ["old cat"]])
    assert scorer.scores(["red cow", "cat"]).tolist() == pytest.approx(
        [10 / 4 / 2, 10 / 4 / 2**0.5 * np.exp(-1 / 72)]
    )


def test_rouge_equals_hand_computation():
    # Best precision 3/3 of the second, best recall 2/2 of the first.
    assert rouge_l("abc", ["ac", "abxcd"]) == pytest.approx(100)
    precision, recall = 2 / 3, 2 / 4
    assert rouge_l("abc", ["bcde"]) == pytest.approx(
        100 * 2.44 * precision * recall / (recall + 1.44 * precision)
    )


@given(words, words)
def test_longest_common_subsequence_equals_the_definition(first, second):
    assert (
        longest_common(first, second)
        == reference.longest_common_subsequence(first, second)
        == longest_common(second, first)
    )


def test_scores_of_a_reference_are_the_highest():
    references = [
        ["a dog runs over the grass", "the dog"],
        ["two men sit on a bench"],
        ["a red bus stands in a street"],
    ]
    scores = values([lines[0] for lines in references], references)
    assert scores[:4] == pytest.approx([100] * 4)
    assert scores[5] == pytest.approx(100)
    assert CiderD(references).scores(["two men sit on a bench"], [1]).tolist() == pytest.approx([10])


def test_scores_of_an_empty_caption_are_zero():
    references = [["a dog runs over the grass"], ["two men sit on a bench"]]
    assert values(["", " ."], references) == [0] * 6
    assert values(["a dog"], [[""]]) == [0] * 6
    ours, theirs = captions.tokenised(["a dog runs over the grass", ""], references)
    assert CiderD(theirs).scores(ours).tolist() == pytest.approx([10, 0])
    assert captions.rouge_l_values(ours, theirs).tolist() == pytest.approx([100, 0])


def test_scores_ignore_the_order_of_images_and_references():
    order = list(range(20))
    random.Random(3).shuffle(order)
    shuffled = [[*reversed(examples.VARIED[i])] for i in order]
    assert values([examples.HYPOTHESES[i] for i in order], shuffled) == pytest.approx(
        values(examples.HYPOTHESES, examples.VARIED), abs=1e-9
    )


def test_cider_reward_of_many_candidates_equals_that_of_each():
    scorer = CiderD(examples.VARIED)
    rng = random.Random(1)
    images = [rng.randrange(20) for _ in range(50)]
    candidates = [
        tuple(rng.choices(["a", "dog", "man", "on", "unseen", "new"], k=rng.randrange(9))) for _ in images
    ]
    together = scorer.scores(candidates, images)
    assert together.tolist() == pytest.approx(
        [scorer.scores([c], [p])[0] for c, p in zip(candidates, images, strict=True)]
    )
    theirs = captions.tokenised([], examples.VARIED)[1]
    assert together.tolist() == pytest.approx(
        [reference.cider_d(c, theirs[p], theirs) for c, p in zip(candidates, images, strict=True)], abs=1e-9
    )
    assert together.max() > 0.5
    assert scorer.scores([], []).shape == (0,)


def test_cider_accepts_numbers_as_tokens():
    numbers: dict[str, int] = {}
    theirs = captions.tokenised([], examples.VARIED)[1]
    as_numbers = [
        [[numbers.setdefault(word, len(numbers)) for word in line] for line in lines] for lines in theirs
    ]
    ours = [[numbers.setdefault(word, len(numbers)) for word in tokens(line)] for line in examples.HYPOTHESES]
    assert CiderD(as_numbers).corpus(ours) == pytest.approx(VARIED[4], abs=1e-9)


def test_signature_names_what_a_score_depends_on():
    by_name = {score.name: score.signature for score in captions.scores(examples.HYPOTHESES, examples.VARIED)}
    assert (
        by_name["BLEU-4"] == "nrefs:1-5|case:lc|eff:no|tok:coco|smooth:none"
        f"|version:{sacrebleu.__version__}|seq2attn:{__version__}"
    )
    assert (
        by_name["CIDEr-D"] == f"nrefs:1-5|case:lc|tok:coco|n:4|sigma:6|df:references|seq2attn:{__version__}"
    )
    assert by_name["ROUGE-L"] == f"nrefs:1-5|case:lc|tok:coco|beta:1.2|seq2attn:{__version__}"
    assert captions.signature("ROUGE-L", examples.CAPTIONS).startswith("nrefs:5|")


@pytest.mark.parametrize(
    ("hypotheses", "references", "message"),
    [
        (["a"], [["a"], ["b"]], "1 captions to score, but references of 2"),
        (["a", "b"], [["a"], []], "image 2 has no reference"),
        ([], [], "at least one image"),
    ],
)
def test_scores_refuses_bad_input(hypotheses, references, message):
    with pytest.raises(UserError, match=message):
        captions.scores(hypotheses, references)


def test_cider_refuses_an_image_without_number():
    scorer = CiderD([["a dog"], ["a cat"]])
    with pytest.raises(UserError, match="1 captions to score, but references of 2"):
        scorer.scores(["a dog"])
    with pytest.raises(IndexError):
        scorer.scores(["a dog"], [-1])


def test_paired_bootstrap_captions_tells_better_captions_from_worse():
    worse = ["a man is here"] * 20
    scores = caption_significance.paired_bootstrap_captions(
        [("a", examples.HYPOTHESES), ("same", examples.HYPOTHESES), ("worse", worse)],
        examples.VARIED,
        samples=200,
    )
    by_name = dict(zip(captions.METRICS, VARIED, strict=True))
    for name in caption_significance.METRICS:
        assert scores.systems["a"][name].value == pytest.approx(by_name[name], abs=1e-8)
        assert abs(scores.systems["a"][name].mean - by_name[name]) < scores.systems["a"][name].interval
        assert scores.systems["same"][name].p_value == 1
        assert scores.systems["worse"][name].p_value < 0.05
        assert scores.signatures[name] == captions.signature(name, examples.VARIED) + "|bs:200|seed:12345"


def test_text_scores_skip_missing_references_of_an_image():
    streams = captions.parallel(examples.VARIED)
    assert [len(stream) for stream in streams] == [len(examples.VARIED)] * 5
    assert [stream.count(None) for stream in streams] == [0, 4, 8, 12, 16]
    assert [line for stream in streams for line in stream if line is not None] == [
        some[place] for place in range(5) for some in examples.VARIED if place < len(some)
    ]
    scores = {score.name: score for score in text.scores(examples.HYPOTHESES, streams, "en")}
    assert all("nrefs:var|" in score.signature for score in scores.values())
    # the first once more is as good as none
    again = [[*some, *some[:1] * (5 - len(some))] for some in examples.VARIED]
    repeated = {
        score.name: score.value
        for score in text.scores(
            examples.HYPOTHESES, [list(stream) for stream in zip(*again, strict=True)], "en"
        )
    }
    assert scores["BLEU"].value == pytest.approx(repeated["BLEU"])
    assert scores["chrF2"].value == pytest.approx(repeated["chrF2"])
    alone = [
        text.metric("TER", [[line] for line in some], "en").sentence_score(ours, some)
        for ours, some in zip(examples.HYPOTHESES, examples.VARIED, strict=True)
    ]
    by_hand = 100 * sum(one.num_edits for one in alone) / sum(one.ref_length for one in alone)
    assert scores["TER"].value == pytest.approx(by_hand)
    assert abs(by_hand - repeated["TER"]) > 0.01  # but not in a mean of lengths


@pytest.mark.parametrize(
    ("references", "why"),
    [
        ([["a dog runs", "the dog"]], "there is one image alone"),
        ([["a dog runs", "it"], ["it", "a dog runs"]], "every word is said of every image"),
        ([["", ""], [""]], "every word is said of every image"),
        ([["a dog runs"], ["runs a dog"]], None),
        ([["a dog runs"], ["a cat runs"]], None),
    ],
)
def test_without_weight_explains_a_cider_of_zero(references, why):
    reason = captions.without_weight(references)
    assert (reason is None) == (why is None)
    assert why is None or (
        why in reason and CiderD(references).scores([some[0] for some in references]).max() == 0
    )
