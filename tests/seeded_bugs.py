"""Does the suite catch bugs? Plants one-line bugs, one at a time, in a copy of the package, and runs the
tests that should fail.

    python tests/seeded_bugs.py             all of them (minutes)
    python tests/seeded_bugs.py beam mask   those whose file or text holds one of the words

Each row of BUGS is (file, old text, new text, tests): the file must hold the old text exactly once, however
the formatter breaks its lines. The tests must pass on the clean copy and fail (not merely break off) with the
bug. It prints a table, and exits with status 1 when a bug is missed. JOBS=2 tries two rows at a time.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue
from typing import NamedTuple, TypeVar

ROOT = Path(__file__).parents[1]
Result = TypeVar("Result")

LIMIT = 300  # seconds a row; a bug that makes a test hang is caught, too
NO_TESTS = 5  # pytest's exit status where it selects none
VERDICTS = {1: "caught", None: "caught (hangs)", 0: "MISSED"}  # by pytest's exit status


class Bug(NamedTuple):
    file: str  # in seq2attn/
    old: str
    new: str
    tests: tuple[str, ...]  # in tests/, with pytest's ::name and -k words allowed

    def __str__(self) -> str:
        return f"{self.file}: {self.old.strip()}  ->  {self.new.strip()}"


# A row is one line, however long.
# fmt: off
BUGS = (
    # Marian models of transformers
    Bug("marian/weights.py", "[half * (place % 2) + place // 2 for place in range(width)]", "list(range(width))", ("marian/test_import.py", "-k", "logits and tied")),
    Bug("marian/weights.py", "elif not facts.scaled:", "elif False:", ("marian/test_import.py", "-k", "logits and scaled")),
    Bug("marian/weights.py", "rows[sides[1].banned] = bias.min() + BANNED", "rows[sides[1].banned] = 0", ("marian/test_import.py", "-k", "no_probability")),
    Bug("data/marian_tokenizer.py", "self._numbers.get(subword, UNK) for subword in subwords", "min(self._processor.piece_to_id(subword), self.size - 1) for subword in subwords", ("marian/test_import.py", "-k", "tokens_are and embedding")),
    Bug("data/formats/charsmap.py", "if (inner | _BLOCK - 1).max(initial=0) >= len(units):", "if False:", ("marian/test_charsmap.py", "-k", "every_step")),
    Bug("tasks/pushing.py", 'result["corpus"] = card.public_name(str(tree["corpus"]))', "pass", ("marian/test_commands.py", "-k", "without_state")),
    # attention over a training, and curves
    Bug("runs/directory.py", "_truncate(run.path / ATTENTION, lambda entry: validated)", "_truncate(run.path / ATTENTION, lambda entry: step)", ("tasks/test_attention_over_training.py", "-k", "two_halves or kill_cut")),
    Bug("runs/attention_log.py", "if _last_pairs(file) != first:", "if True:", ("tasks/test_attention_over_training.py", "-k", "words_once")),
    Bug("runs/attention_log.py", "shares * np.float32(largest / 255)", "shares / np.float32(255)", ("tasks/test_attention_over_training.py", "-k", "model_of_that_step")),
    Bug("training/validation.py", "attention_log.append(self.run, state.step, scores.attention)", "attention_log.append(self.run, state.step + 1, scores.attention)", ("tasks/test_attention_over_training.py", "-k", "words_once")),
    Bug("inference/attention_history.py", "own = np.concatenate([own[1:], own[-1:]])", "own = np.concatenate([own[:1], own[:-1]])", ("tasks/test_attention_over_training.py", "-k", "its_step")),
    Bug("inference/attention_history.py", "np.append(np.arange(count), of - 1)", "np.arange(count + 1)", ("tasks/test_attention_over_training.py", "-k", "cuts_a_long_pair")),
    Bug("inference/attention_history.py", "[parts[row] for row in sorted(parts)]", "list(parts.values())", ("tasks/test_attention_over_training.py", "-k", "their_order")),
    Bug("explaining/watch.py", "        self.snapshot = None\n        if not", "        if not", ("tasks/test_attention_over_training.py", "-k", "last_look")),
    Bug("tasks/film.py", "choice = remembered(path)", "choice = None", ("cli/test_plot_training.py", "-k", "remembered")),
    Bug("tasks/curves.py", "(time / unit, value)", "(time, value)", ("cli/test_plot_training.py", "-k", "minutes")),
    Bug("runs/metrics.py", "abs(value := _value(tree[name])) <= MOST", "(value := _value(tree[name])) is not None", ("cli/test_plot_training.py", "-k", "not_finite")),
    Bug("plotting/charts.py", "round(place * (count - 1) / (most - 1))", "round(place * count / most)", ("plotting/test_film.py", "-k", "thinned")),
    Bug("plotting/film.py", "image.set_data(self.scene.weights[to][row].reshape(self.scene.grid))", "pass", ("plotting/test_film.py", "-k", "animation")),
    Bug("plotting/html_film.py", "html_page.text(word)}</bdi></th>{cells}", "word}</bdi></th>{cells}", ("plotting/test_film.py", "-k", "hostile")),
    # the training recipe
    Bug("training/objectives/r_drop.py", "pull = torch.stack([p[0] * (gap - first) + lead,", "pull = torch.stack([p[0] * gap + lead,", ("training/test_r_drop.py", "-k", "reference")),
    Bug("training/objectives/r_drop.py", "real_M=torch.cat([batch.real_M, batch.real_M + rows * steps])", "real_M=torch.cat([batch.real_M, batch.real_M])", ("training/test_r_drop.py", "-k", "doubled_batch")),
    Bug("training/objectives/cross_entropy.py", "penalty / 2, guide / 2", "penalty, guide", ("training/test_r_drop.py", "-k", "means_over_both")),
    Bug("data/text/sampled.py", "if self._last is None or self._last[0] != (seed, epoch):", "if self._last is None:", ("data/text/test_sampled.py", "-k", "own_cuts")),
    Bug("training/microbatches.py", "yield own, order[index], epoch, index + 1", "yield pairs, order[index], epoch, index + 1", ("data/text/test_sampled.py", "-k", "were_drawn")),
    Bug("training/regularisation.py", ".gather(1, first_BT)", "", ("training/test_regularisation.py", "-k", "all_their_places")),
    Bug("training/muon.py", "self._share()\n\n    def step", "pass\n\n    def step", ("training/test_muon.py", "-k", "resumes")),
    # serving
    Bug("data/text/sentences.py", 'word = _ELISION.sub("", word)', "pass", ("data/text/test_sentences.py", "-k", "split")),
    Bug("data/cleaning/mending.py", "inside = [_inside(source), _inside(target)]", "inside = [None, None]", ("data/test_cleaning.py", "-k", "test_mend")),
    Bug("data/cleaning/numbers.py", "return bool(digits[0] - digits[1]) and", "return", ("data/test_cleaning.py", "-k", "numbers_differ")),
    Bug("data/cleaning/faults.py", "ours, theirs = len(source) * habits.ratio, len(target)", "ours, theirs = len(source), len(source)", ("data/test_cleaning.py", "-k", "messy_sheet")),
    Bug("data/text/repeats.py", "leaked |= np.isin", "leaked &= np.isin", ("data/test_cleaning.py", "-k", "test_sentences")),
    Bug("data/text/weights.py", "np.random.default_rng([seed, epoch, len(weights)])", "np.random.default_rng(seed)", ("data/text/test_weights.py", "-k", "rows_of_epoch")),
    Bug("data/tokenizer.py", "(self.__dict__, plain_marks=\"none\", ", "(self.__dict__, ", ("data/test_marks.py", "-k", "tokenizer_reads")),
    Bug("data/tokenizer.py", "nats += -self._processor.get_score(i)", "nats -= -self._processor.get_score(i)", ("data/test_tokenizer.py", "-k", "description", "serving/test_detection.py")),
    Bug("serving/detection.py", "mean + _mean_of_text(writers[language], sentences)", "mean", ("serving/test_detection.py", "-k", "share")),
    Bug("serving/detection.py", "close = [language for language in nats if nats[language] <= CLOSE * least]", "close = []", ("serving/test_detection.py", "-k", "share or reader")),
    Bug("serving/batching.py", "behind = [work for work in self._works if work.waiting and id(work) in served]", "behind = [work for work in self._works if work.waiting and id(work) in served][::-1]", ("serving/test_batching.py", "-k", "behind")),
    Bug("serving/batching.py", "self._works = [work for work in self._works if id(work) not in served] + behind", "self._works = behind + [work for work in self._works if id(work) not in served]", ("serving/test_batching.py", "-k", "take_turns")),
    Bug("serving/batching.py", "self.waiting -= len(work.waiting)", "pass", ("serving/test_batching.py", "-k", "whether")),
    Bug("serving/batching.py", "if work.compute == self._works[0].compute]", "]", ("serving/test_batching.py", "-k", "apart")),
    Bug("serving/batching.py", "for _ in range(min(SHARE, len(work.waiting))):", "for _ in range(len(work.waiting)):", ("serving/test_batching.py", "-k", "pass")),
    Bug("serving/batching.py", "return [result for item in items for result in _compute_each(compute, [item])]", "return [ValueError()] * len(items)", ("serving/test_batching.py", "-k", "failure")),
    Bug("serving/batching.py", "if places and cost > room:", "if places and room <= 0:", ("serving/test_batching.py", "-k", "fewer_items")),
    Bug("serving/batching.py", "self.stop.requested = not self._computed", "self.stop.requested = True", ("serving/test_batching.py", "-k", "as_long_as")),
    Bug("serving/batching.py", "            self._computed.remove(work)", "            pass", ("serving/test_batching.py", "-k", "nobody_waits")),
    Bug("serving/stopping.py", "self._stop.check()", "pass", ("serving/test_service.py", "-k", "search_ends")),
    Bug("serving/connections.py", "self._watch_reading()\n\n        def resume", "pass\n\n        def resume", ("serving/test_service.py", "-k", "does_not_read")),
    Bug("serving/connections.py", "self._unread_bytes - self.transport.get_write_buffer_size() < LEAST_READ", "True", ("serving/test_service.py", "-k", "reads_slowly")),
    Bug("serving/room.py", "self.size -= own", "pass", ("serving/test_service.py", "-k", "bound_together")),
    Bug("serving/room.py", "if self.size + count > self._most:", "if count > self._most:", ("serving/test_service.py", "-k", "bound_together")),
    Bug("serving/forms.py", 'if not parts or not parts[-1].startswith(b"--"):', "if not parts:", ("serving/test_libretranslate.py", "-k", "damaged_forms")),
    Bug("serving/forms.py", 'value.replace("\\r\\n", "\\n")', "value", ("serving/test_libretranslate.py", "-k", "browsers")),
    Bug("serving/bodies.py", "return in_address | forms.by_name(pairs)", "return forms.by_name(pairs) | in_address", ("serving/test_libretranslate.py", "-k", "address")),
    Bug("serving/bodies.py", "if len(body) + len(chunk) > most:", "if False:", ("serving/test_hostile.py", "-k", "megabytes")),
    Bug("serving/bodies.py", "if length.isdecimal() and", "if False and", ("serving/test_hostile.py", "-k", "hostile")),
    Bug("serving/connections.py", "self._head = self.loop.call_later(seconds, self._too_slow)", "self._head = None", ("serving/test_hostile.py", "-k", "slow_head")),
    Bug("serving/connections.py", "self._rest = self.loop.call_later(LINGER, self.transport.close)", "pass", ("serving/test_hostile.py", "-k", "stop_sending")),
    Bug("serving/connections.py", "elif not self._reads_head:", "elif False:", ("serving/test_hostile.py", "-k", "waits_between")),
    Bug("serving/gate.py", "if name.lower() not in self._hosts:", "if name.lower() not in self._hosts and not name:", ("serving/test_gate.py", "-k", "hosts")),
    Bug("serving/gate.py", "origin if origin in self._origins else None", "origin if self._origins else None", ("serving/test_gate.py", "-k", "page")),
    Bug("serving/gate.py", "return json.dumps(facts)", "return json.dumps(facts, ensure_ascii=False)", ("serving/test_gate.py", "-k", "logs")),
    Bug("serving/gate.py", "route = scope[\"path\"] if scope[\"path\"] in self._routes else \"other\"", "route = scope[\"path\"]", ("serving/test_gate.py", "-k", "metrics")),
    Bug("serving/keys.py", "key = token.strip() if scheme.lower() == \"bearer\" else", "key = token.strip() if scheme.lower() == \"bearer\" and token.strip() in (fields or {}) else", ("serving/test_gate.py", "-k", "keys")),
    Bug("serving/service.py", "if not work.done():", "if False:", ("serving/test_service.py", "-k", "left")),
    Bug("data/text/paragraphs.py", "results.append(html.escape(translation, quote=False) if part.escaped else translation)", "results.append(translation)", ("data/text/test_paragraphs.py", "-k", "keeps_markup")),
    Bug("data/text/paragraphs.py", 'elif between and part.content in ("", " "):', 'elif part.content in ("", " "):', ("data/text/test_paragraphs.py",)),
    Bug("data/text/markup.py", "if name in RAW and not closes:", "if False:", ("data/text/test_markup.py", "-k", "pythons_parser")),
    Bug("serving/libretranslate.py", "distinct = list(dict.fromkeys(versions))", "distinct = versions", ("serving/test_libretranslate.py", "-k", "distinct")),
    Bug("serving/libretranslate.py", "results[number].append(each)", "results[-1].append(each)", ("serving/test_libretranslate.py", "-k", "detect or json")),
    Bug("serving/pictures.py", "if pixels * frames > limits.pixels:", "if frames > limits.pixels:", ("serving/test_pictures.py", "-k", "refuses")),
    Bug("serving/server.py", "self._gate.ending = True", "pass", ("serving/test_service.py", "-k", "stop")),
    Bug("serving/pages.py", "if path.suffix in TYPES and path.is_file()", "if path.is_file()", ("serving/test_status.py", "-k", "files")),
    # text as it comes
    Bug("inference/phrase_beam.py", "share = self.beam // len(waiting)", "share = 0", ("inference/test_phrase_beam.py", "-k", "small_beam")),
    Bug("inference/phrase_beam.py", "after_BW[:, :, None] & edges.continues_N", "after_BW[:, :, None] & ~edges.continues_N", ("inference/test_phrase_beam.py", "-k", "ends_a_word")),
    Bug("inference/phrase_beam.py", "if token != self.eos or progress.begun == self.every or length >= self.limit", "if True", ("inference/test_phrase_beam.py", "-k", "best_of_all")),
    Bug("inference/joining.py", "row, column = row + rows, column + columns", "row, column = row + rows, column", ("inference/test_lines.py", "-k", "its_sentences")),
    Bug("inference/lines.py", "numbers = [j * LINES + first + i for i, j, _ in places]", "numbers = [first + n for n, _ in enumerate(places)]", ("inference/test_lines.py", "-k", "does_not_depend")),
    Bug("inference/reinsertion.py", "np.argmax(weights[:, gap.words - 1])", "np.argmax(weights[:, gap.words])", ("inference/test_lines.py", "-k", "words_beside")),
    Bug("data/text/glossary.py", "for length in range(min(self._longest, len(lower) - place), 0, -1):", "for length in range(1, min(self._longest, len(lower) - place) + 1):", ("data/text/test_glossary.py", "-k", "longest")),
    Bug("data/text/protection.py", "if count == counts[1][text]]", "if counts[1][text]]", ("data/text/test_protection.py", "-k", "equally")),
    # explaining
    Bug("explaining/beam_tree.py", "ends and place < width", "ends", ("explaining/test_explanation.py", "-k", "loops_search")),
    Bug("explaining/beam_tree.py", "self._open.pop(row, None)", "self._open.get((0, row[1]))", ("explaining/test_explanation.py", "-k", "loops_search")),
    Bug("explaining/other_normaliser.py", "attention.normalise.temperature *= temperature", "attention.normalise.temperature = temperature", ("explaining/test_explanation.py", "-k", "on_top_of")),
    Bug("explaining/other_normaliser.py", "config.temperature * temperature", "temperature", ("explaining/test_explanation.py", "-k", "on_top_of")),
    Bug("explaining/other_normaliser.py", "other = twin(model)", "other = model", ("explaining/test_explanation.py", "-k", "leave_the_model")),
    Bug("explaining/explanation.py", "p_TN[:, list(BANNED)] = -1.0", "p_TN[:, 0] = -1.0", ("explaining/test_explanation.py", "-k", "best_of_each_step")),
    Bug("explaining/explained_sources.py", "weights.unflatten(-1, (-1, self.predictor.cells)).sum(-1)", "weights.unflatten(-1, (-1, self.predictor.cells)).mean(-1)", ("explaining/test_explanation.py", "-k", "clip")),
    Bug("explorer/bundle.py", 'return _UNSAFE.sub(lambda match: f"\\\\u{ord(match[0]):04x}", text)', "return text", ("explorer/test_files.py", "-k", "escapes")),
    Bug("explorer/bundle.py", r'.replace("</script", "<\\/script")', "", ("explorer/test_files.py", "-k", "joins_modules")),
    Bug("explaining/explain_request.py", "len(values) > most", "len(values) > 10**9", ("explaining/test_explanation.py", "-k", "refused_by_name")),
    Bug("explaining/attention.py", "of_step = weights.roll(-shift, 1)", "of_step = weights.roll(shift, 1)", ("explaining/test_word_attention.py",)),
    Bug("explaining/attention.py", "share = to_word / to_word.sum(1, keepdim=True).clamp_min(1)", "share = to_word", ("explaining/test_word_attention.py",)),
    Bug("explaining/sources.py", "mask_BP & (ids_BP != EOS)", "mask_BP", ("explaining/test_attribution.py", "-k", "captum and rnn")),
    Bug("explaining/partly_known.py", "source.first_BSS[:, 1:] * share_BS[..., None]", "source.first_BSS[:, 1:]", ("explaining/test_faithfulness.py", "-k", "plain_loop and luong")),
    Bug("explaining/partly_known.py", "(1 - share_BS[..., None])", "(share_BS[..., None] * 0)", ("explaining/test_faithfulness.py", "-k", "plain_loop and luong")),
    Bug("explaining/attribution.py", "copies._replace(gate_BT=parts[1], mass_BTS=parts[2])", "copies._replace(gate_BT=parts[1])", ("explaining/test_attribution.py", "-k", "difference and luong")),
    Bug("explaining/attribution.py", "(gradient_WBPE * x_BPE).sum(-1)", "gradient_WBPE.sum(-1)", ("explaining/test_attribution.py", "-k", "captum and rnn")),
    Bug("explaining/attribution.py", "(mean_WBPE * (x - blank)).sum(-1)", "(mean_WBPE * x).sum(-1)", ("explaining/test_attribution.py", "-k", "captum and rnn")),
    Bug("explaining/replaced_weights.py", "other.encoder.gradient_share = 1.0", "other.encoder.gradient_share = 0.5", ("explaining/test_attribution.py", "-k", "complete and conv")),
    Bug("explaining/replaced_weights.py", "attention.needs_step = True", "attention.can_fuse = False", ("explaining/test_replaced_weights.py",)),
    Bug("explaining/replaced_weights.py", "noise.masked_fill(~real, 2.0).argsort(-1)", "noise.argsort(-1)", ("explaining/test_replaced_weights.py", "-k", "permuted")),
    Bug("explaining/replaced_weights.py", "weights = weights if finish is None else finish(weights)", "pass", ("explaining/test_experiments.py", "-k", "weight_that_a_word_has and local-p")),
    Bug("explaining/replaced_weights.py", "stream_B % STREAMS + number_B * STREAMS", "stream_B + number_B", ("explaining/test_experiments.py", "-k", "never_reached")),
    Bug("explaining/changed_weights.py", "share_BG[:, 1:].clamp_min(0).sum(1)", "share_BG[:, 1:].sum(1)", ("explaining/test_experiments.py", "-k", "experiments_of_others")),
    Bug("explaining/changed_weights.py", "[word in experiment.mask for word in words]", "[word + 1 in experiment.mask for word in words]", ("explaining/test_experiments.py", "-k", "takes_positions and rnn")),
    Bug("explaining/changed_weights.py", "~_fit(self.hidden_NS, size)[number_B][:, None, None]", "~_fit(self.hidden_NS, size)[number_B - 1][:, None, None]", ("explaining/test_experiments.py", "-k", "takes_positions and rnn")),
    Bug("explaining/changed_weights.py", "number_B, size = place.number_BT[:, 0], weights.size(-1)", "number_B, size = 1 + torch.arange(len(weights)) % (len(self.hidden_NS) - 1), weights.size(-1)", ("explaining/test_experiments.py", "-k", "depend_neither")),
    Bug("explaining/changed_weights.py", "uniform(weights, place.mask)", "uniform(weights, torch.ones_like(place.mask))", ("explaining/test_experiments.py", "-k", "mean_of_the_values and rnn")),
    Bug("explaining/changed_weights.py", "return _Step(step - 1,", "return _Step(step,", ("explaining/test_experiments.py", "-k", "that_word_alone and rnn")),
    Bug("explaining/changed_weights.py", "share_BS == 1, share_BS != 0)", "share_BS == 1, share_BS == share_BS)", ("explaining/test_experiments.py", "-k", "next_best")),
    Bug("explaining/changed_weights.py", "torch.where(sum_ > 0, weights / sum_, real / count.clamp_min(1))", "weights / sum_", ("explaining/test_experiments.py", "-k", "plain_loop")),
    Bug("explaining/changed_translator.py", "enumerate(side, 1)", "enumerate(side)", ("explaining/test_experiments.py", "-k", "takes_positions and rnn")),
    Bug("explaining/comparison.py", "if step > last", "if step >= last", ("explaining/test_experiments.py", "-k", "words_that_differ")),
    Bug("explaining/output_attribution.py", "[:, unit_of].astype", "[:, unit_of[::-1]].astype", ("explaining/test_output_attribution.py", "-k", "plain_loop and rnn")),
    Bug("explaining/output_attribution.py", "of_units / np.bincount(unit_of).clip(1)", "of_units", ("explaining/test_output_attribution.py", "-k", "plain_loop and rnn")),
    Bug("explaining/output_attribution.py", "np.maximum(matrix, 0)", "np.abs(matrix)", ("explaining/test_output_attribution.py", "-k", "positive")),
    Bug("cli/plot_comparison.py", "_, output = plot_texts.translate_one(view.run, text, translation.text, search)", "_, output = plot_texts.translate_one(view.run, text, target, search)", ("cli/test_plot_comparison.py", "-k", "two_runs")),
    Bug("explaining/occlusion.py", "return self.log_p(place) - self.log_p(place, units)", "return self.log_p(place, units) - self.log_p(place)", ("explaining/test_faithfulness.py",)),
    Bug("explaining/faithfulness.py", "(generator.random(matrix.shape), -matrix)", "(-matrix,)", ("explaining/test_faithfulness.py", "-k", "equal")),
    Bug("evaluation/mean_ranks.py", "(ends - counts + ends - 1) / 2", "(ends - counts)", ("explaining/test_faithfulness.py", "-k", "spearman")),
    Bug("explaining/links.py", "np.append(sorted_values[1:] != sorted_values[:-1], True)", "np.append(sorted_values[1:] == sorted_values[1:], True)", ("explaining/test_links.py",)),
    Bug("explaining/doctor.py", "one[..., :-1, :] for one in long", "one for one in long", ("explaining/test_doctor.py",)),
    Bug("explaining/audit.py", "{(target, source) for source, target in", "{(source, target) for source, target in", ("explaining/test_audit.py", "-k", "reverse")),
    Bug("inference/attention_weights.py", "np.concatenate([own[1:], own[-1:]]) if choice.shift else own", "own", ("cli/test_audit.py", "-k", "translations_show")),
    Bug("inference/forced.py", "option = predictor.needed_attention(attention)", "option = attention", ("cli/test_audit.py", "-k", "translations_show")),
    Bug("explaining/watch.py", "self._lasting[kind] + 1 for kind in kinds", "1 for kind in kinds", ("explaining/test_watch.py",)),
    Bug("explaining/watch.py", "self._told.update(new)", "self._told.update([])", ("explaining/test_watch.py", "-k", "once")),
    Bug("runs/choice.py", "0 < value < 2**16", "0 <= value < 2**16", ("cli/test_audit.py", "-k", "damaged_choice")),
    # going on from a run
    Bug("runs/more_rows.py", "rows - _margin(len(parts)) if name == BIAS else rows", "rows", ("tasks/test_from_run.py", "-k", "as_they_were")),
    Bug("tasks/training.py", "start.load_weights(model, prepared)", "pass", ("tasks/test_from_run.py", "-k", "its_weights_and")),
    Bug("tasks/from_run.py", "own = FromRun.of(out)", "own = given", ("tasks/test_from_run.py", "-k", "bit_for_bit")),
    Bug("data/text/replay.py", "first = epoch * self.count", "first = 0 * self.count", ("tasks/test_from_run.py", "-k", "replay_has")),
    Bug("data/text/replay.py", "[rows[batch] for batch in batches]", "batches", ("tasks/test_from_run.py", "-k", "replay_has")),
    Bug("tasks/back_translation.py", "value < threshold or pairs == most", "pairs == most", ("tasks/test_back_translation.py", "-k", "best_pairs")),
    Bug("tasks/back_translation.py", "first=first + start", "first=start", ("tasks/test_back_translation.py", "-k", "samples_depend")),
    Bug("data/text/tags.py", "0.0, is_symbol=True", "0.0", ("tasks/test_back_translation.py", "-k", "token_for_the_tag")),
    # confidence
    Bug("inference/confidence.py", "([[BOS, *tokens] for tokens in outputs], [[*tokens, EOS] for tokens in outputs])", "([[BOS, *tokens] for tokens in outputs], [[BOS, *tokens] for tokens in outputs])", ("inference/test_confidence.py", "-k", "single_steps and rnn")),
    Bug("inference/confidence.py", "_shifted(entropy_BT, 1), _shifted(entropy_BT, -1)", "_shifted(entropy_BT, -1), _shifted(entropy_BT, 1)", ("inference/test_confidence.py", "-k", "single_steps and rnn")),
    Bug("inference/confidence.py", "own[word].append(token)", "own[word].append(max(token - 1, 0))", ("inference/test_confidence.py", "-k", "single_steps and rnn")),
    Bug("inference/confidence.py", "log_p_BTN.scatter(2, targets_BT1, -torch.inf)", "log_p_BTN", ("inference/test_confidence.py", "-k", "single_steps and rnn")),
    Bug("inference/confidence.py", "mean_attention(hidden.weights_BTLHS).double() * is_step_BT[..., None]", "mean_attention(hidden.weights_BTLHS).double()", ("inference/test_confidence.py", "-k", "independent and rnn")),
    Bug("inference/confidence.py", "features_BTD = hidden.features_BTD[:, some].contiguous()", "features_BTD = hidden.features_BTD[:, some]", ("inference/test_confidence.py", "-k", "steps_at_a_time")),
    Bug("inference/confidence.py", "-(log_p_BTN.exp() * bounded)", "-(log_p_BTN.exp() * log_p_BTN)", ("inference/test_confidence.py", "-k", "impossible")),
    Bug("inference/confidence.py", "/ np.array(calibration.scale)", "* np.array(calibration.scale)", ("inference/test_confidence.py", "-k", "logistic")),
    Bug("inference/confidence.py", ".clip(least, 1 - least)", ".clip(0, 1)", ("inference/test_confidence.py", "-k", "inside_0_and_1")),
    Bug("inference/predictor.py", "result.append(word_features(steps, tokenizer.word_index(tokens), words))", "result.append(word_features(steps, range(len(tokens)), words))", ("inference/test_confidence.py", "-k", "single_steps and rnn")),
    Bug("tasks/calibration.py", "if not sides:", "if sides:", ("cli/test_calibrate.py", "-k", "fits_on_valid")),
    Bug("evaluation/calibration.py", "_calibration(fit(features[~own], right[~own], penalty), len(right))", "_calibration(fit(features, right, penalty), len(right))", ("evaluation/test_confidence.py", "-k", "cross_validated")),
    Bug("evaluation/calibration.py", "(p - y) + ridge * w", "(p - y) + ridge", ("evaluation/test_confidence.py", "-k", "gradient")),
    Bug("evaluation/mean_ranks.py", "(ends - counts + ends - 1) / 2", "ends - 1", ("evaluation/test_confidence.py", "-k", "roc_area")),
    Bug("evaluation/confidence.py", "one.words * abs(one.probability - one.right)", "abs(one.probability - one.right)", ("evaluation/test_confidence.py", "-k", "roc_area")),
    Bug("evaluation/confidence.py", "np.minimum((probability * bins).astype(int), bins - 1)", "(probability * bins).astype(int)", ("evaluation/test_confidence.py", "-k", "roc_area")),
    Bug("evaluation/confidence.py", "through = (edits, equal - 1) if word == other else (edits + 1, equal)", "through = (edits, equal - 1) if word == other else (edits + 2, equal)", ("evaluation/test_confidence.py", "-k", "right_words")),
    Bug("evaluation/confidence.py", "edits < best[0]", "edits > best[0]", ("evaluation/test_confidence.py", "-k", "examples")),
    Bug("runs/calibration.py", "min(scale) < LEAST_SCALE", "min(scale) < 0", ("cli/test_calibrate.py", "-k", "damaged")),
    Bug("runs/calibration.py", 'tree["weights_crc32"] != checksum(Path(run))', "False", ("cli/test_calibrate.py", "-k", "damaged")),
    Bug("inference/alignments.py", "rest = rest[len(part) :]", 'rest = ""', ("cli/test_calibrate.py", "-k", "parts_of_a_word")),
    # attention: scores
    Bug("attention/scores.py", "self.scale(keys.size(-1))", "self.scale(keys.size(-2))", ("attention/test_scores.py", "-k", "papers")),
    Bug("attention/scores.py", "__init__(_direction, _direction,", "__init__(None, _direction,", ("attention/test_scores.py", "-k", "cosine")),
    Bug("attention/scores.py", "10 * self.p.exp()", "self.p.exp()", ("attention/test_scores.py", "-k", "cosine")),
    Bug("attention/scores.py", "return scores + self.history_proj(features)", "return scores - self.history_proj(features)", ("attention/test_scores.py", "-k", "papers")),
    Bug("attention/scores.py", "self.weight[:, : self.query_size].t()", "self.weight[:, -self.query_size :].t()", ("attention/test_scores.py", "-k", "papers")),
    Bug("attention/scores.py", "super().compare(query, keys).sigmoid()", "super().compare(query, keys)", ("attention/test_scores.py", "-k", "papers")),
    Bug("attention/scores.py", "value=LOWEST", "value=0.0", ("attention/test_scores.py", "-k", "location")),
    Bug("attention/scores.py", "super().forward(x).tanh()", "super().forward(x)", ("attention/test_scores.py", "-k", "papers")),
    Bug("kernels/additive_score.py", "value=-1", "value=1", ("kernels/test_additive_score.py",)),
    Bug("kernels/additive_score.py", ".flatten(0, -2), u_PA)", ".flatten(0, -2), u_PA, alpha=-1)", ("kernels/test_additive_score.py", "-k", "formula")),
    Bug("kernels/additive_score.py", "slope_BSA = 1 - square_BSA", "slope_BSA = square_BSA", ("kernels/test_additive_score.py", "-k", "gradients")),
    # memory of a GPU
    Bug("inference/predictor.py", "(slice(half), slice(half, None))", "(slice(half), slice(half))", ("test_device_memory.py", "-k", "halves")),
    Bug("device_memory.py", "torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)", "0", ("test_device_memory.py", "-k", "free")),
    Bug("device_memory.py", "os.environ.setdefault(", "os.environ.__setitem__(", ("test_device_memory.py", "-k", "segments")),
    # the size of batches by trial
    Bug("training/batch_size.py", "torch.random.fork_rng([device] if device.type == \"cuda\" else [])", "torch.random.fork_rng([])", ("cuda/test_on_device.py", "-k", "searches")),
    Bug("training/batch_size.py", "for _ in range(self._copies)", "for _ in range(0)", ("cuda/test_on_device.py", "-k", "searches")),
    Bug("training/batch_size.py", "model.train(mode)", "pass", ("cuda/test_on_device.py", "-k", "searches")),
    Bug("training/batch_size.py", "tokens = min(map(int,", "tokens = max(map(int,", ("cuda/test_on_device.py", "-k", "searches")),
    Bug("training/batch_size.py", "low, high = max(least, low // 2), low", "low, high = max(least, low // 2), high", ("training/test_batch_size.py",)),
    Bug("tasks/batch_size.py", "return with_batch_tokens(settings, tokens)", "return settings", ("training/test_batch_size.py",)),
    Bug("tasks/batch_size.py", "world.run_on_main(lambda: write_config(changed))", "pass", ("training/test_batch_size.py",)),
    Bug("device_memory.py", "\"CUDA error: out of memory\", ", "", ("training/test_batch_size.py",)),
    Bug("config/messages.py", "        names.pop()\n", "        pass\n", ("training/test_batch_size.py",)),
    # CUDA graphs
    Bug("training/graphed_gradient.py", "(name, part.shape, part.dtype)", "(name, part.shape[:1], part.dtype)", ("cuda/test_on_device.py", "-k", "graphs")),
    Bug("training/graphed_gradient.py", "static.copy_(tensor, non_blocking=True)", "static.copy_(static)", ("cuda/test_on_device.py", "-k", "graphs")),
    Bug("training/graphed_gradient.py", "torch._foreach_zero_(new)", "torch._foreach_mul_(new, 1.0)", ("cuda/test_on_device.py", "-k", "graphs")),
    Bug("training/graphed_gradient.py", "torch._foreach_zero_(new)", "torch._foreach_mul_(new, 0.0)", ("cuda/test_on_device.py", "-k", "graphs and not slow")),
    Bug("training/graphed_gradient.py", "own.copy_(parameter.grad)", "own.zero_()", ("cuda/test_on_device.py", "-k", "graphs")),
    Bug("training/graphed_gradient.py", "self._factor.fill_(1 / tokens)", "self._factor.fill_(1 / 8)", ("cuda/test_on_device.py", "-k", "graphs")),
    Bug("inference/static_state.py", ".index_copy(1, cache.new_slots, slots_RC[:, -width:])", "", ("cuda/test_on_device.py", "-k", "graphs")),
    Bug("inference/static_state.py", "buffer.index_copy_(2, self.new_slots,", "buffer.index_copy_(2, self.new_slots % self.width,", ("cuda/test_on_device.py", "-k", "graphs")),
    Bug("inference/static_state.py", "part[:, :, :-width], (steps", "part[:, :, width:], (steps", ("cuda/test_on_device.py", "-k", "graphs")),
    Bug("inference/static_state.py", "return self.time * self.width", "return self.time * self.width + 1", ("cuda/test_on_device.py", "-k", "graphs")),
    Bug("inference/graphed_beam.py", "            state=new_state,\n", "            state=here.state,\n", ("cuda/test_on_device.py", "-k", "graphs")),
    Bug("inference/graphed_beam.py", "torch._foreach_copy_(tensors_of(new), values)", "torch._foreach_copy_(tensors_of(new)[:9], values[:9])", ("cuda/test_on_device.py", "-k", "graphs")),
    Bug("inference/graphed_beam.py", "F.pad(memory.mask_BS, (0, more))", "F.pad(memory.mask_BS, (0, more), value=True)", ("cuda/test_on_device.py", "-k", "graphs")),
    Bug("inference/graphed_beam.py", "(here.time < here.minimum_B)", "(here.time <= here.minimum_B)", ("cuda/test_on_device.py", "-k", "graphs")),
    Bug("inference/graphed_beam.py", "weights_RLHS[..., :positions].clone()", "weights_RLHS[..., :positions]", ("cuda/test_on_device.py", "-k", "graphs")),
    Bug("inference/graphed_beam.py", "keep_B = here.is_finished_B.long()", "keep_B = (~here.is_finished_B).long()", ("cuda/test_on_device.py", "-k", "graphs")),
    Bug("inference/graphed_beam.py", "(*((tensor.shape, tensor.dtype)", "(*((tensor.dim(), tensor.dtype)", ("cuda/test_on_device.py", "-k", "graphs")),
    Bug("inference/graphed_beam.py", "options, weights), new", "options), new", ("cuda/test_on_device.py", "-k", "graphs")),
    Bug("inference/graphed_beam.py", "            self._graphs.clear()\n", "            pass\n", ("cuda/test_on_device.py", "-k", "graphs")),
    Bug("cuda_graphs.py", "torch.cuda.current_stream(self._device)", "torch.cuda.current_stream()", ("cuda/test_on_device.py", "-k", "graphs")),
    # torch.compile
    Bug("training/compiled_gradient.py", "53, 61, 31, 29", "29, 29, 29, 29", ("training/test_compiled_gradient.py", "-k", "one_program")),
    Bug("training/compiled_gradient.py", "LEAST_ROWS, LEAST_LENGTH = 16, 2", "LEAST_ROWS, LEAST_LENGTH = 1, 1", ("training/test_compiled_gradient.py", "-k", "few_rows")),
    Bug("training/compiled_gradient.py", "read = batch._replace(real_M=None, targets_M=batch.inputs_BT", "read = batch._replace(inputs_BT=batch.inputs_BT.flip(0)", ("training/test_compiled_gradient.py", "-k", "one_program")),
    Bug("training/compiled_gradient.py", "run.__code__.replace()", "teacher_forcing.__code__", ("training/test_compiled_gradient.py", "-m", "slow", "-k", "second_training")),
    Bug("kernels/deferred_gradients.py", "loop = None if torch.compiler.is_compiling() else _loop.get()", "loop = _loop.get()", ("training/test_compiled_gradient.py", "-m", "slow", "-k", "penalty")),
    Bug("tasks/training.py", "        _refuse_compilation(settings, world)\n", "", ("tasks/test_compiled_training.py", "-k", "missing_compiler")),
    Bug("training/microbatches.py", "_replace(mask_M=mask_M)", "_replace(mask_M=mask_M | True)", ("training/test_rounding.py",)),
    Bug("training/rounding.py", "_pad(source_mask, added, positions, False)", "_pad(source_mask, added, positions, True)", ("training/test_rounding.py",)),
    Bug("training/objectives/doubly_stochastic.py", "(mask_BS & real_BT[:, :1])", "mask_BS", ("training/test_rounding.py",)),
    Bug("kernels/linear_cross_entropy.py", "torch.zeros_like(weight_ND, dtype=wide)", "torch.zeros_like(weight_ND, dtype=dtype)", ("kernels/test_large_vocabulary.py", "-k", "37000")),
    Bug("kernels/linear_cross_entropy.py", "p.amax(1).to(wide).log()", "p.amax(1).log()", ("kernels/test_large_vocabulary.py", "-k", "37000")),
    Bug("kernels/linear_cross_entropy.py", "x_MD * mask_M[:, None]", "x_MD", ("kernels/test_linear_cross_entropy.py", "-k", "mask")),
    # attention: past weights
    Bug("attention/history.py", "return by_head(history.cumulative)[..., None]", "return by_head(history.previous)[..., None]", ("attention/test_history.py",)),
    Bug("attention/history.py", "super().forward(history, history_keys) / history_keys.mT", "super().forward(history, history_keys) * history_keys.mT", ("attention/test_history.py",)),
    Bug("attention/history.py", "self.max_fertility * self.fertility", "self.fertility", ("attention/test_history.py",)),
    Bug("attention/history.py", "previous = by_head(history.previous)", "previous = by_head(history.cumulative)", ("attention/test_history.py",)),
    Bug("attention/history.py", "self.filters, padding", "self.filters.flip(-1), padding", ("attention/test_history.py",)),
    # attention: normalisers
    Bug("attention/normalisers.py", "scores.masked_fill(hidden, lowest).softmax(-1)", "scores.softmax(-1)", ("attention/test_normalisers.py",)),
    Bug("attention/normalisers.py", "lowest).softmax(-1).masked_fill(hidden, 0.0)", "lowest).softmax(-1)", ("attention/test_normalisers.py",)),
    Bug("attention/normalisers.py", "else scores / self.temperature", "else scores * self.temperature", ("attention/test_normalisers.py",)),
    Bug("attention/normalisers.py", "gumbel(scores) / self.temperature", "gumbel(scores)", ("attention/test_hard.py", "-k", "gumbel")),
    Bug("attention/normalisers.py", "gumbel(logs)", "gumbel(logs[..., :1, :])", ("attention/test_hard.py", "-k", "independent or frequencies")),
    Bug("attention/normalisers.py", "scores + self._noise(", "scores - self._noise(", ("attention/test_hard.py", "-k", "inference")),
    Bug("attention/normalisers.py", "(expected[..., None], soft, weights)", "(expected[..., None], weights, soft)", ("attention/test_hard.py", "-k", "expectation")),
    Bug("attention/normalisers.py", "log_prob.masked_fill(expected, 0.0)", "log_prob", ("attention/test_hard.py", "-k", "expectation")),
    Bug("attention/normalisers.py", "-(soft * logs).sum(-1)", "(soft * logs).sum(-1)", ("attention/test_hard.py", "-k", "entropy")),
    Bug("attention/normalisers.py", "HardSample(config.k, config.at_inference,", 'HardSample(config.k, "argmax",', ("inference/test_translator.py", "-k", "hard_model")),
    Bug("kernels/sparsemax.py", "filled = scores.masked_fill(hidden, torch.finfo(scores.dtype).min)", "filled = scores", ("attention/test_normalisers.py", "-k", "sparsemax or entmax15")),
    Bug("kernels/sparsemax.py", "rank * ordered > beyond", "rank * ordered > beyond + 0.5", ("attention/test_normalisers.py", "-k", "sparsemax")),
    Bug("kernels/sparsemax.py", "_shifted(scores / 2, hidden)", "_shifted(scores, hidden)", ("attention/test_normalisers.py", "-k", "entmax15")),
    Bug("kernels/sparsemax.py", "_back(weights.sign(), gradient)", "_back(weights, gradient)", ("attention/test_normalisers.py", "-k", "sparsemax")),
    Bug("attention/hard.py", "descending=True", "descending=False", ("attention/test_hard.py", "-k", "largest")),
    Bug("attention/hard.py", ".scatter(-1, positions, 1.0) * mask", ".scatter(-1, positions, 1.0)", ("attention/test_hard.py", "-k", "masked or fewer")),
    Bug("attention/hard.py", "left = left.scatter(-1, position, False)", "", ("attention/test_hard.py", "-k", "log_prob")),
    Bug("attention/hard.py", "(step + 0x9E3779B9)", "(step + torch.arange(len(step))[:, None, None] + 0x9E3779B9)", ("attention/test_hard.py", "-k", "inference_samples")),
    Bug("attention/hard.py", "return -(-uniform.log()).log()", "return (-uniform.log()).log()", ("attention/test_hard.py", "-k", "noise")),
    Bug("attention/hard.py", "return None, gradient", "return None, gradient * 0", ("attention/test_hard.py", "-k", "topk")),
    # attention: windows, heads, the reading
    Bug("attention/windows.py", "(distance_BHTS.abs() <= self.half_width)", "(distance_BHTS.abs() < self.half_width)", ("attention/test_windows.py",)),
    Bug("attention/windows.py", "mask_BS.sum(-1, keepdim=True) - 1", "mask_BS.sum(-1, keepdim=True)", ("attention/test_windows.py",)),
    Bug("attention/windows.py", "mask_BS.sum(-1)[:, None, None] * share_BHT", "mask_BS.size(-1) * share_BHT", ("attention/test_windows.py",)),
    Bug("attention/windows.py", "(-2 * (distance", "(-0.5 * (distance", ("attention/test_windows.py",)),
    Bug("attention/attention.py", "weights_BHTS if finish is None else finish(weights_BHTS)", "weights_BHTS", ("models/test_laws.py", "-k", "papers and recurrent")),
    Bug("attention/attention.py", "cumulative=cumulative + weights_RHS", "cumulative=weights_RHS", ("attention/test_attention.py", "-k", "history")),
    Bug("attention/attention.py", "history.step + 1", "history.step", ("models/test_laws.py", "-k", "decoder_steps and recurrent")),
    Bug("attention/attention.py", "build_map(config.value_map,", "build_map(config.value_map and 'linear',", ("attention/test_attention.py", "-k", "value_map")),
    Bug("attention/attention.py", "unflatten(-1, (heads, -1)).transpose(1, 2)", "unflatten(-1, (-1, heads)).movedim(-1, 1)", ("attention/test_attention.py", "-k", "torch")),
    Bug("attention/attention.py", "mask, finish = None, memory.mask_BS[:, None, None], None", "mask, finish = None, memory.mask_BS.roll(1, 0)[:, None, None], None", ("attention/test_attention.py", "-k", "torch")),
    Bug("attention/normalisers.py", "expected = use_expectation_BT[:, None]", "expected = use_expectation_BT.roll(1, 0)[:, None]", ("attention/test_attention.py", "-k", "use_expectation")),
    Bug("attention/normalisers.py", "history.step[:, None], scores", "history.step.roll(1, 0)[:, None], scores", ("attention/test_attention.py", "-k", "history_step")),
    Bug("attention/normalisers.py", "(stream_BT << 12)[:, None] + head_H[:, None]", "(stream_BT << 12)[:, None]", ("attention/test_attention.py", "-k", "independently")),
    Bug("attention/attention.py", "< self.expectation_prob", "> self.expectation_prob", ("attention/test_attention.py", "-k", "use_expectation_is_drawn")),
    Bug("attention/attention.py", "part_BHT.sum(1)", "part_BHT.mean(1)", ("attention/test_attention.py", "-k", "log_prob")),
    # guided attention
    Bug("training/objectives/guided_attention.py", ".clamp_min(SMALLEST)", "", ("training/test_guided_attention.py", "-k", "underflow")),
    Bug("data/text/guided.py", "token_N + shift", "token_N", ("training/test_guided_attention.py", "-k", "paper")),
    Bug("data/text/guided.py", "= 1 / divisor_N", "= 1.0", ("data/text/test_token_links.py", "-k", "distribution")),
    Bug("data/text/guided.py", "yield np.array([self.shift], \"<i4\")", "pass", ("data/text/test_token_links.py", "-k", "fingerprint")),
    Bug("data/text/token_links.py", "len(words) * len(source_tokens[word])", "len(words)", ("data/text/test_token_links.py", "-k", "paper")),
    Bug("training/microbatches.py", "factor = tokens / guided if guided else 0.0", "factor = 1.0", ("training/test_guided_attention.py", "-k", "linked_steps")),
    Bug("training/objectives/cross_entropy.py", "guided_attention(of_layer[:, :, head]", "guided_attention(of_layer[:, :, 0]", ("training/test_guided_attention.py", "-k", "guided_head")),
    Bug("training/rounding.py", "0, steps, 0, added))", "steps, 0, 0, added))", ("training/test_guided_attention.py", "-k", "rounded")),
    Bug("models/decoders/parallel.py", "weights = self.weights in (True, OneLayer(len(self.outputs)))", "weights = bool(self.weights)", ("training/test_guided_attention.py", "-k", "alone")),
    Bug("config/guide.py", "max(1, model.attention_layers - 1)", "model.attention_layers", ("training/test_guided_attention.py", "-k", "by_default")),
    Bug("data/text/encoding.py", 'guides = LINKS if LINKS in rows.column_names else "alignment" if gold else None', 'guides = "alignment" if gold else None', ("tasks/test_guided_training.py", "-k", "take_the_place")),
    Bug("tasks/training.py", "choice.remember(out, choice.AttentionChoice(*taught))", "pass", ("tasks/test_guided_training.py", "-k", "remembers_what")),
    Bug("data/linking.py", "if len(column) < batch.num_rows:", "if False:", ("tasks/test_guided_training.py", "-k", "too_few")),
    # explaining: symmetrised links
    Bug("explaining/symmetrise.py", "return link[1], link[0]", "return link", ("explaining/test_symmetrise.py", "-k", "moses")),
    Bug("explaining/symmetrise.py", "if bare > both:", "if bare > (not both):", ("explaining/test_symmetrise.py", "-k", "moses")),
    Bug("explaining/symmetrise.py", "link[0] in self.sources and link[1] in self.targets", "link[0] in self.sources or link[1] in self.targets", ("explaining/test_symmetrise.py", "-k", "moses")),
    Bug("explaining/symmetrise.py", "growing.finish(forward, both) growing.finish(reverse, both)", "growing.finish(reverse, both); growing.finish(forward, both)", ("explaining/test_symmetrise.py", "-k", "moses")),
    Bug("explaining/symmetrise.py", "((0, -1), (-1, 0), (0, 1), (1, 0), (-1, -1), (1, -1), (-1, 1), (1, 1))", "((0, -1), (-1, 0), (0, 1), (1, 0))", ("explaining/test_symmetrise.py", "-k", "loops")),
    # explaining: links of given pairs
    Bug("explaining/aligner.py", "narrow = weights_UR[1:, :-1]", "narrow = weights_UR[:-1, :-1]", ("explaining/test_aligner.py", "-k", "reads")),
    Bug("explaining/links.py", "present = values[rows, first] > 0", "present = values[rows, first] > -1", ("explaining/test_aligner.py", "-k", "largest")),
    Bug("explaining/aligner.py", "rule = LinkRule(largest=False,", "rule = LinkRule(largest=True,", ("explaining/test_aligner.py", "-k", "largest")),
    Bug("explaining/aligner.py", "[(source, target) for target, source in other]", "other", ("explaining/test_aligner.py", "-k", "joins")),
    Bug("explaining/aligner.py", "first + rows.start", "first", ("explaining/test_aligner.py", "-k", "parts")),
    Bug("cli/input/pair_reader.py", "count += len(others)", "count += len(lines)", ("cli/test_align.py", "-k", "wrong")),
    Bug("cli/output/aligned_pairs.py", "number, size = number + len(block)", "number, size = number", ("cli/test_align.py", "-k", "numbers")),
    # attention: the loop
    Bug("kernels/deferred_gradients.py", "        self.inputs, self.gradients = [], []", "", ("kernels/test_deferred_gradients.py",)),
    Bug("kernels/deferred_gradients.py", "tensor.shape, tensor.stride(), tensor.dtype", "tensor.shape, tensor.dtype", ("kernels/test_deferred_gradients.py",)),
    # models
    Bug("kernels/rnn_cells.py", "return n + z * (h - n)", "return h + z * (n - h)", ("models/test_cells.py",)),
    Bug("kernels/rnn_cells.py", "c = c.to(torch.promote_types(c.dtype, torch.float32))", "", ("inference/test_half_weights.py", "-k", "wide")),
    Bug("runs/half_weights.py", "isinstance(module, PRODUCTS) or parameter.dim() > 1", "isinstance(module, PRODUCTS)", ("inference/test_half_weights.py", "-k", "converts")),
    Bug("inference/predictor.py", 'torch.inference_mode if self.format == "fp32" else torch.no_grad', "torch.inference_mode", ("inference/test_half_weights.py", "-k", "in_training")),
    Bug("kernels/rnn_cells.py", "slope(grad[:, part], gates[:, part], grad_input=grad[:, part])", "grad[:, part] = slope(grad[:, part], gates[:, part], grad_input=grad[:, part].clone())", ("models/test_cells.py",)),
    Bug("kernels/rnn_cells.py", "tanh_backward(grad_h * o, tanh_c) + grad_c", "tanh_backward(grad_h * o, tanh_c)", ("models/test_cells.py",)),
    Bug("models/encoders/rnn.py", "last_B = mask_BS.sum(1) - 1", "last_B = mask_BS.sum(1) * 0 + mask_BS.size(1) - 1", ("models/test_rnn_encoder.py",)),
    Bug("kernels/fused_rnn.py", "torch.where(position < length, length - 1 - position, position)", "mask_BS.size(1) - 1 - position.expand_as(mask_BS)", ("models/test_rnn_encoder.py",)),
    Bug("models/decoders/rnn.py", "if self.query_is_previous: query", "if False: query", ("models/test_laws.py", "-k", "papers and recurrent")),
    Bug("models/decoders/rnn.py", "context = output.context if state.context is not None", "context = state.context if state.context is not None", ("models/test_laws.py", "-k", "papers and recurrent")),
    Bug("models/decoders/rnn.py", "logit.sigmoid() * context", "(1 - logit.sigmoid()) * context", ("models/test_laws.py", "-k", "papers and recurrent")),
    Bug("models/decoders/rnn.py", 'query_BTQ = torch.cat([e_BTE, s_BTH], -1)', 'query_BTQ = torch.cat([s_BTH, e_BTE], -1)', ("models/test_laws.py", "-k", "papers and recurrent")),
    Bug("attention/history.py", "torch.arange(steps, device=self.step.device)", "torch.arange(1, steps + 1, device=self.step.device)", ("models/test_laws.py", "-k", "papers and recurrent")),
    Bug("models/decoders/rnn.py", "config.input_feeding or needs_history", "config.input_feeding", ("models/test_laws.py", "-k", "papers and recurrent")),
    Bug("models/memory.py", "weights_HS.mean(-2)", "weights_HS[..., 0, :]", ("models/test_laws.py", "-k", "papers and recurrent")),
    Bug("models/encoders/rnn.py", "part_of(part, x, embedded) for part in self.parts", "part_of(self.parts[1], x, embedded) for _ in self.parts", ("models/test_laws.py", "-k", "papers and recurrent")),
    Bug("models/memory.py", "return states_BSV + embedded_BSV", "return states_BSV", ("models/test_laws.py", "-k", "papers and recurrent")),
    Bug("models/memory.py", "(x_BSV * real_BS1).sum(1) / real_BS1.sum(1)", "x_BSV.mean(1)", ("models/test_laws.py", "-k", "padding and recurrent")),
    Bug("models/decoders/rnn.py", "y.unflatten(-1, (-1, 2)).amax(-1)", "y.unflatten(-1, (2, -1)).amax(-2)", ("models/test_laws.py", "-k", "papers and recurrent")),
    Bug("models/decoders/rnn.py", "device=values.device).repeat_interleave(width)", "device=values.device).repeat(width)", ("models/test_laws.py", "-k", "decoder_steps and recurrent")),
    Bug("models/state.py", "return value.index_select(0, index_R)", "return value", ("models/test_memory.py",)),
    Bug("models/layers/cells.py", "bias[self.size : 2 * self.size] = 1.0", "bias[: self.size] = 1.0", ("models/test_seq2seq.py", "-k", "glorot")),
    Bug("models/seq2seq.py", "cast(TextEncoder, seq2seq.encoder).embedding.weight = seq2seq.decoder.target_embedding.weight", "seq2seq.decoder.target_embedding.weight = seq2seq.encoder.embedding.weight", ("models/test_seq2seq.py", "-k", "tied")),
    # the Transformer
    Bug("attention/self_attention.py", "self.read(query, key, value, mask_BS[:, None, None])", "self.read(query, key, value, None)", ("attention/test_self_attention.py",)),
    Bug("attention/self_attention.py", "value, None, causal=True)", "value, None)", ("attention/test_self_attention.py",)),
    Bug("kernels/dot_product.py", "is_causal=causal, scale=scale", "is_causal=causal, scale=1.0", ("attention/test_self_attention.py",)),
    Bug("attention/self_attention.py", "query_key = apply_rotary(query_key, rotary)", "query_key = torch.cat([query_key[:, :1], apply_rotary(query_key[:, 1:], rotary)], 1)", ("attention/test_self_attention.py",)),
    Bug("attention/self_attention.py", "softmax(scores, mask.tril() if causal else mask)", "softmax(scores, mask.tril() if causal else mask | True)", ("attention/test_self_attention.py", "-k", "weights")),
    Bug("attention/self_attention.py", "key.repeat_interleave(self.heads // self.kv_heads, 1)", "key.repeat(1, self.heads // self.kv_heads, 1, 1)", ("attention/test_self_attention.py", "-k", "weights")),
    Bug("models/vision/self_attention_2d.py", "_cells(x_BCYX, self.key).mT).softmax(-1)", "_cells(x_BCYX, self.key).mT).softmax(-2)", ("models/test_self_attention_2d.py", "-k", "weights")),
    Bug("attention/part.py", 'and name != "bias"', 'and name == "v"', ("attention/test_scores.py", "-k", "new_score")),
    Bug("attention/self_attention.py", "torch.cat([-sin, sin], 1)", "torch.cat([sin, -sin], 1)", ("attention/test_self_attention.py",)),
    Bug("attention/attention.py", "x.repeat_interleave(self.heads // x.size(1), 1)", "torch.cat([x] * (self.heads // x.size(1)), 1)", ("attention/test_attention.py", "-k", "shared")),
    Bug("attention/attention.py", "self.score.scale(query.size(-1)) / self.normalise.temperature", "self.score.scale(query.size(-1))", ("attention/test_attention.py", "-k", "fused")),
    Bug("attention/attention.py", "memory.values, mask, scale=scale", "memory.values, None, scale=scale", ("attention/test_attention.py", "-k", "fused")),
    Bug("inference/attention_weights.py", "weights[layer - 1 : layer]", "weights[layer - 2 : layer - 1]", ("export/test_ctranslate2.py", "-k", "attention_is")),
    Bug("models/memory.py", "weights_LHS.unbind(-3)]).mean(0)", "weights_LHS.unbind(-3)])[0]", ("models/test_laws.py", "-k", "papers and transformer")),
    Bug("attention/attention.py", "first_head=layer_index * self.heads", "first_head=0", ("models/test_laws.py", "-k", "draw_independently")),
    Bug("models/layers/transformer.py", "return x if self.prenorm else norm(x)", "return norm(x) if self.prenorm else x", ("models/test_transformer.py", "-k", "torch")),
    Bug("models/layers/transformer.py", "return norm(x) if self.prenorm else x", "return x", ("models/test_transformer.py", "-k", "torch")),
    Bug("models/layers/transformer.py", "F.silu(gate) * hidden", "F.silu(hidden) * gate", ("models/test_laws.py", "-k", "papers and transformer")),
    Bug("models/layers/transformer.py", "[config.feedforward] * matrices", "[config.feedforward * matrices]", ("models/test_transformer.py", "-k", "glorot")),
    Bug("attention/part.py", 'if init == "glorot":\n            for part', "if False:\n            for part", ("models/test_transformer.py", "-k", "glorot")),
    Bug("models/layers/positions.py", "torch.stack([angle.sin(), angle.cos()], -1).flatten(1)", "torch.cat([angle.sin(), angle.cos()], -1)", ("models/test_transformer.py", "-k", "sinusoidal")),
    Bug("models/layers/positions.py", "torch.arange(first, first + count", "torch.arange(count", ("models/test_laws.py", "-k", "decoder_steps and transformer")),
    Bug("models/layers/positions.py", "position.clamp(max=self.vectors.num_embeddings - 1)", "position % self.vectors.num_embeddings", ("models/test_transformer.py", "-k", "beyond")),
    Bug("models/encoders/transformer.py", "* self.embedding.embedding_dim**0.5", "", ("models/test_laws.py", "-k", "papers and transformer")),
    Bug("models/encoders/transformer.py", "            x = self.norm(x)", "            pass", ("models/test_transformer.py", "-k", "torch")),
    Bug("models/encoders/transformer.py", "mean_over(mask_BS, x)", "x.mean(1)", ("models/test_laws.py", "-k", "padding and transformer")),
    Bug("models/decoders/transformer.py", "* self.target_embedding.embedding_dim**0.5", "", ("models/test_laws.py", "-k", "papers and transformer")),
    Bug("models/decoders/transformer.py", "return x_BTD if self.norm is None else self.norm(x_BTD),", "return x_BTD,", ("models/test_transformer.py", "-k", "torch")),
    Bug("models/decoders/transformer.py", "= caches[0].used // width", "= caches[0].used", ("models/test_laws.py", "-k", "decoder_steps and transformer")),
    Bug("models/decoders/transformer.py", "self.positions.numbers(time, 1", "self.positions.numbers(0, 1", ("models/test_laws.py", "-k", "decoder_steps and transformer")),
    Bug("models/decoders/transformer.py", "own = torch.eye(width,", "own = torch.ones(width, width,", ("models/test_laws.py", "-k", "decoder_steps and transformer")),
    Bug("models/decoders/transformer.py", "torch.cat([past.slots_RC, own], 1)", "torch.cat([past.slots_RC[:, :width].repeat(1, time), own], 1)", ("models/test_laws.py", "-k", "long_search and transformer")),
    Bug("models/decoders/parallel.py", "self.attentions()[0].update_history(state.history, None)", "state.history", ("models/test_laws.py", "-k", "decoder_steps and transformer")),
    Bug("models/decoders/transformer.py", "self.context_feeds_later_steps = config.layers > 1", "self.context_feeds_later_steps = False", ("models/test_laws.py", "-k", "says_whether")),
    Bug("models/layers/kv_cache.py", "buffer[:, :, self.used : count] = added", "buffer[:, :, : keys.size(2)] = added", ("models/test_kv_cache.py",)),
    Bug("models/layers/kv_cache.py", "if written[0] != self.used or count", "if count", ("models/test_kv_cache.py",)),
    Bug("models/layers/kv_cache.py", "max(INITIAL_CAPACITY, 2 * count)", "count + INITIAL_CAPACITY", ("models/test_kv_cache.py",)),
    Bug("models/layers/kv_cache.py", "if keys.requires_grad:", "if False:", ("models/test_kv_cache.py",)),
    Bug("config/typed.py", '"rnn") != value:', '"rnn") != text:', ("config/test_files.py", "-k", "kind")),
    Bug("config/typed.py", "in sorted(settings, key=lambda setting: not split(setting, where)[0].endswith(\".kind\"))", "in settings", ("config/test_files.py", "-k", "any_order")),
    # copying
    Bug("copying/pointer.py", "first_BSS = same_BSS & (same_BSS.cumsum(2) == 1)", "first_BSS = torch.eye(same_BSS.size(1), dtype=torch.bool).expand_as(same_BSS)", ("models/test_laws.py", "-k", "papers and copying")),
    Bug("copying/pointer.py", "log_odds = log_mass - gate_BT1 - log_p", "log_odds = log_mass + gate_BT1 - log_p", ("models/test_laws.py", "-k", "papers and copying")),
    Bug("copying/pointer.py", "weights.to(wide).mean(-2)", "weights.to(wide)[..., 0, :]", ("models/test_laws.py", "-k", "papers and copying")),
    Bug("copying/pointer.py", "tokens_BS = self.target_of[source_BS]", "tokens_BS = source_BS", ("models/test_laws.py", "-k", "papers and copying")),
    Bug("copying/pointer.py", ".masked_fill(~known, 0.0)\n", "\n", ("copying/test_pointer.py", "-k", "sums_to_one")),
    Bug("copying/pointer.py", "self.tokens_BS[row_M // self.gate_BT.size(1)]", "self.tokens_BS[row_M % len(self.tokens_BS)]", ("kernels/test_copy_cross_entropy.py", "-k", "rows")),
    Bug("models/decoders/parallel.py", "memory is self.source.memories[-1]", "memory is self.source.memories[0]", ("models/test_laws.py", "-k", "says_the_same and copying")),
    Bug("kernels/copy_cross_entropy.py", "p.mul_((counts - all_copies).to(dtype)[:, None])", "p.mul_(counts.to(dtype)[:, None])", ("kernels/test_copy_cross_entropy.py", "-k", "slow_twins")),
    Bug("kernels/copy_cross_entropy.py", "(tokens == target).to(wide) * (1 - smoothing) + smoothing / len(bias)", "(tokens == target).to(wide) * (1 - smoothing)", ("kernels/test_copy_cross_entropy.py", "-k", "references")),
    Bug("kernels/copy_cross_entropy.py", "-posterior / mass.clamp(min=LEAST)", "-posterior / mass", ("kernels/test_copy_cross_entropy.py", "-k", "slow_twins or finite")),
    Bug("copying/vocabulary.py", "numbers.get(text, unknown)", "numbers.get(text, 0)", ("copying/test_pointer.py", "-k", "same_text")),
    Bug("runs/loading.py", "            share_vocabularies(model, source, target_tokenizer)\n", "            pass\n", ("copying/test_runs.py", "-k", "loaded_run")),
    Bug("tasks/training.py", "        share_vocabularies(model, prepared.source_tokenizer, prepared.target_tokenizer)\n", "        pass\n", ("copying/test_runs.py", "-k", "training_maps")),
    Bug("inference/ensemble.py", "None if hidden.copies is None else hidden.copies.steps(steps)", "None", ("copying/test_runs.py", "-k", "forced_decoding")),
    Bug("inference/predictor.py", "if token != UNK or not options.replace_unknown", "if token != UNK", ("copying/test_unknown_words.py", "-k", "only_if_asked")),
    Bug("inference/unknown_words.py", "np.bincount(numbers[inside], own, len(words))", "np.array([own[numbers[inside] == word].max(initial=0) for word in range(len(words))])", ("copying/test_unknown_words.py", "-k", "subwords")),
    Bug("config/consistency.py", 'if a.window == "local-p":\n        raise ValueError(\n            "model.pointer', 'if a.window == "none" and False:\n        raise ValueError(\n            "model.pointer', ("config/test_consistency.py", "-k", "pointer")),
    Bug("export/limits.py", "if model.pointer:", "if False:", ("export/test_limits.py", "-k", "pointer")),
    Bug("samples/names/words.py", "while unseen((one := name(self.rng)).english) != self.testing:", "while unseen((one := name(self.rng)).english) and not self.testing:", ("samples/test_names.py", "-k", "no_other_split")),
    # models: convolutions
    Bug("models/layers/gated_conv.py", "self.gain / self.lengths()", "self.gain", ("models/test_gated_conv.py", "-k", "torchs")),
    Bug("models/layers/gated_conv.py", "padding=self.padding), 1).mT", "padding=self.padding).flip(1), 1).mT", ("models/test_gated_conv.py", "-k", "torchs")),
    Bug("models/encoders/conv.py", ".masked_fill(padding_BS1, 0.0))) * ROOT_HALF", ")) * ROOT_HALF", ("models/test_laws.py", "-k", "padding and convolutional")),
    Bug("models/encoders/conv.py", ".masked_fill(padding_BS1, 0.0))) * ROOT_HALF", ".masked_fill(padding_BS1, 0.0)))", ("models/test_laws.py", "-k", "papers and convolutional")),
    Bug("models/encoders/conv.py", "part_of(part, x, embedded) for part in self.parts", "part_of(self.parts[0], x, embedded) for _ in self.parts", ("models/test_laws.py", "-k", "papers and convolutional")),
    Bug("models/encoders/conv.py", "return gradient * ctx.factor, None", "return gradient, None", ("models/test_gated_conv.py", "-k", "one_reading")),
    Bug("models/seq2seq.py", "1 / (2 * decoder.layers)", "1 / decoder.layers", ("models/test_gated_conv.py", "-k", "one_reading")),
    Bug("models/decoders/conv.py", "inputs = F.pad(inputs, (0, 0, self.kernel - 1, 0))", "inputs = F.pad(inputs, (0, 0, self.kernel - 2, 1))", ("models/test_laws.py", "-k", "future and convolutional")),
    Bug("models/decoders/conv.py", "after.append(inputs[:, steps:])", "after.append(torch.nn.functional.pad(inputs[:, steps + 1 :], (0, 0, 1, 0)))", ("models/test_laws.py", "-k", "decoder_steps and convolutional")),
    Bug("models/decoders/conv.py", "self.target_embedding(tokens_RT), time)", "self.target_embedding(tokens_RT), 0)", ("models/test_laws.py", "-k", "decoder_steps and convolutional")),
    Bug("models/decoders/conv.py", "Constant(time + steps)", "Constant(time)", ("models/test_laws.py", "-k", "decoder_steps and convolutional")),
    Bug("models/decoders/conv.py", "matrices[layer.query_proj]) + embedded) * ROOT_HALF", "matrices[layer.query_proj]) + embedded)", ("models/test_laws.py", "-k", "papers and convolutional")),
    Bug("models/decoders/conv.py", "(y_RTC + context) * ROOT_HALF", "(y_RTC + context)", ("models/test_laws.py", "-k", "papers and convolutional")),
    Bug("models/decoders/conv.py", "memory.mask_BS.sum(1).to(", "torch.full_like(memory.mask_BS[:, 0], memory.mask_BS.size(1), dtype=torch.long).to(", ("models/test_laws.py", "-k", "padding and convolutional")),
    Bug("models/decoders/conv.py", "torch.float32)).sqrt()", "torch.float32))", ("models/test_laws.py", "-k", "papers and convolutional")),
    Bug("models/decoders/conv.py", "config.layers > 1 and config.kernel > 1", "config.kernel > 1", ("models/test_laws.py", "-k", "says_whether")),
    Bug("models/decoders/conv.py", "*shared.sizes, layer_index=layer_index", "*shared.sizes", ("models/test_laws.py", "-k", "draw_independently")),
    Bug("models/layers/gated_conv.py", "(4 if self.gated else 1)", "1", ("models/test_gated_conv.py", "-k", "glorot")),
    Bug("models/layers/gated_conv.py", "self.gain.copy_(self.lengths())", "self.gain.fill_(1.0)", ("models/test_gated_conv.py", "-k", "glorot or init_of_weight_norm")),
    Bug("models/memory.py", "mask_BS[..., None].to(x_BSV.dtype)", "torch.ones_like(mask_BS[..., None]).to(x_BSV.dtype)", ("models/test_pairs.py", "-k", "starts_from")),
    # models: images
    Bug("models/vision/self_attention_2d.py", "scale=1.0", "scale=None", ("models/test_self_attention_2d.py", "-k", "papers")),
    Bug("models/vision/self_attention_2d.py", "[:, 0].mT.unflatten(2, x_BCYX.shape[2:])", "[:, 0].mT.unflatten(2, x_BCYX.shape[2:][::-1]).mT", ("models/test_self_attention_2d.py", "-k", "papers")),
    Bug("models/vision/resnet.py", "channels // GROUP if channels % GROUP == 0 else 1", "channels", ("models/test_resnet.py", "-k", "groups or papers")),
    Bug("models/vision/resnet.py", "self.conv1, self.bn1 = _convolution(inputs, channels, 1), norm(channels)", "self.conv1, self.bn1 = _convolution(inputs, channels, 1, stride), norm(channels)", ("models/test_resnet.py", "-k", "papers")),
    Bug("models/vision/resnet.py", "2 if number and not index else 1", "2 if not index else 1", ("models/test_resnet.py", "-k", "papers or supports_half_weights")),
    Bug("models/vision/resnet.py", "fits = stride == 1 and inputs == outputs", "fits = stride == 1", ("models/test_resnet.py", "-k", "torchvisions")),
    Bug("models/vision/resnet.py", "if number and number == self.attending:", "if number and number - 1 == self.attending:", ("models/test_resnet.py", "-k", "papers")),
    Bug("models/vision/resnet.py", "self.running_mean, self.running_var, self.weight, self.bias, eps=EPS", "self.running_mean, self.running_var, self.weight, self.bias, self.training, eps=EPS", ("models/test_resnet.py", "-k", "never_change")),
    Bug("models/vision/resnet.py", "mode=\"fan_out\"", "mode=\"fan_in\"", ("models/test_resnet.py", "-k", "documented")),
    Bug("models/vision/backbones.py", "return super().train(False)", "return super().train(mode)", ("models/test_backbones.py", "-k", "in_use")),
    Bug("own_code/permission.py", "if not _permitted.get():", "if False:", ("models/test_backbones.py", "-k", "permission")),
    Bug("own_code/permission.py", "    finally:\n        _permitted.reset(token)", "    finally:\n        pass", ("models/test_backbones.py", "-k", "permission")),
    Bug("own_code/permission.py", "allowed or _permitted.get()", "allowed", ("models/test_backbones.py", "-k", "permission")),
    Bug("own_code/permission.py", "sys.path.append(folder)", "sys.path.insert(0, folder)", ("own_code/test_permission.py", "-k", "current_folder")),
    Bug("own_code/permission.py", "            del sys.path[len", "            sys.path[len", ("own_code/test_permission.py", "-k", "current_folder")),
    Bug("own_code/laws.py", "ROUNDING = 1e-3", "ROUNDING = 1e3", ("own_code/test_laws.py", "-k", "breaks")),
    Bug("own_code/laws.py", "isinstance(value, list | tuple)", "False", ("own_code/test_laws.py", "-k", "breaks")),
    Bug("own_code/laws.py", "if parameter.dim() < 2:\n                parameter.zero_()", "if parameter.dim() < 0:\n                parameter.zero_()", ("own_code/test_laws.py", "-k", "breaks")),
    Bug("own_code/laws.py", '        _draw_its_own(part, "bahdanau15")\n', "", ("own_code/test_laws.py", "-k", "lawful")),
    Bug("own_code/permission.py", '__name__") == package', '__name__") != package', ("own_code/test_permission.py", "-k", "names_the_line")),
    Bug("own_code/laws.py", "torch.random.fork_rng(devices=[]),", "", ("own_code/test_laws.py", "-k", "random_numbers")),
    Bug("attention/attention.py", " and not config.own_code", "", ("own_code/test_laws.py", "-k", "fused")),
    Bug("inference/translator.py", "code_allowed(allow_code):", "code_allowed(True):", ("own_code/test_permission.py", "-k", "imports_nothing")),
    Bug("models/vision/backbones.py", "if name in weights and weights[name].shape != tensor.shape:", "if False:", ("models/test_backbones.py", "-k", "does_not_fit")),
    Bug("models/vision/backbones.py", "range(module.depth + 1, STAGES + 1)", "range(1, STAGES + 1)", ("models/test_backbones.py", "-k", "does_not_fit")),
    Bug("models/vision/backbones.py", "int(getattr(module, \"num_prefix_tokens\", 0))", "0", ("models/test_backbones.py", "-k", "timm_is_asked")),
    Bug("models/vision/pretrained.py", "weights_only=True", "weights_only=False", ("models/test_pretrained.py", "-k", "code")),
    Bug("models/vision/pretrained.py", "or start[8:] == b\"{\" ", "", ("models/test_pretrained.py", "-k", "pickle")),
    Bug("models/initialisation.py", "if parameter not in theirs)", "if True)", ("models/test_backbones.py", "-k", "makers")),
    Bug("models/initialisation.py", "and module not in theirs]", "]", ("models/test_backbones.py", "-k", "elsewhere")),
    Bug("models/initialisation.py", "backbone.draw()", "pass", ("models/test_image_encoder.py", "-k", "first_weights")),
    Bug("models/encoders/image.py", "torch.cat([rows[:, None].expand(-1, width, -1), columns[None].expand(height, -1, -1)], -1)", "torch.cat([columns[:, None].expand(-1, height, -1), rows[None].expand(width, -1, -1)], -1).transpose(0, 1)", ("models/test_image_encoder.py", "-k", "documented or learned")),
    Bug("models/encoders/image.py", "self.proj(features_BCYX.flatten(2).mT)", "self.proj(features_BCYX.mT.flatten(2).mT)", ("models/test_image_encoder.py", "-k", "row_by_row")),
    Bug("models/encoders/image.py", "features.size(2), features.size(3))", "features.size(3), features.size(2))", ("models/test_image_encoder.py", "-k", "row_by_row")),
    Bug("models/encoders/image.py", ".to(self.mean.dtype) / 255 -", ".to(self.mean.dtype) -", ("models/test_image_encoder.py", "-k", "documented")),
    Bug("models/encoders/video.py", "y = x_BSFD + self.temporal(x_BSFD, mask_BF.repeat_interleave(cells, 0))", "y = x_BSFD + self.temporal(x_BSFD, mask_BF.repeat(cells, 1))", ("models/test_laws.py", "-k", "missing_frames")),
    Bug("models/encoders/video.py", "mask_BF.repeat_interleave(grid[0] * grid[1], 1)", "mask_BF.repeat(1, grid[0] * grid[1])", ("models/test_image_encoder.py", "-k", "its_frames")),
    Bug("models/encoders/video.py", "cast(Tensor, y).unflatten(0, (-1, cells)).transpose(1, 2)", "y.view_as(x_BFSD)", ("models/test_image_encoder.py", "-k", "goes_by")),
    Bug("models/encoders/image.py", "            self.backbone.eval()\n        return self", "            pass\n        return self", ("models/test_image_encoder.py", "-k", "no_gradient")),
    Bug("models/encoders/image.py", "torch.no_grad() if self.frozen else nullcontext()", "nullcontext()", ("models/test_image_encoder.py", "-k", "no_gradient")),
    Bug("models/encoders/image.py", "self.backbone.requires_grad_(False).eval()", "self.backbone.eval()", ("models/test_image_encoder.py", "-k", "no_gradient")),
    Bug("models/encoders/image.py", "whole = self.training and not self.frozen", "whole = self.training", ("models/test_image_encoder.py", "-k", "last_bit")),
    Bug("models/vision/fixed_batches.py", "if whole:", "if True:", ("models/test_image_encoder.py", "-k", "same_bits")),
    Bug("models/encoders/video.py", "filling = 0 if self.training else max(0, self.max_frames - frames)", "filling = 0", ("models/test_image_encoder.py", "-k", "one_size")),
    Bug("models/vision/fixed_batches.py", "x[-1:].expand(-rows % size, *x.shape[1:])", "x[-1:].expand(rows % size, *x.shape[1:])", ("models/test_image_encoder.py", "-k", "one_size")),
    Bug("models/encoders/video.py", "self._features(source[mask_BF])  # of real frames alone", "self._features(source.flatten(0, 1))", ("models/test_laws.py", "-k", "missing_frames")),
    Bug("models/encoders/video.py", "return y_BFSD, mean_over(mask_BF, y_BFSD.mean(2))", "return y_BFSD, y_BFSD.mean((1, 2))", ("models/test_image_encoder.py", "-k", "its_frames")),
    Bug("models/encoders/image.py", "return features.to(self.proj.weight.dtype)", "return features.float()", ("models/test_image_encoder.py", "-k", "documented")),
    Bug("models/encoders/video.py", "x_BFD = self.positions.add_to(x_BFD)", "pass", ("models/test_image_encoder.py", "-k", "time_is_told")),
    # what makes training fast
    Bug("kernels/dot_product.py", ".tril()", ".tril(1)", ("kernels/test_dot_product.py", "-k", "causal")),
    Bug("kernels/dot_product.py", "hidden.repeat(1, 1, group, 1)", "hidden.repeat_interleave(group, 2)", ("kernels/test_dot_product.py", "-k", "fused")),
    Bug("kernels/dot_product.py", "weights.masked_fill(hidden, 0.0)", "weights", ("kernels/test_dot_product.py", "-k", "fused")),
    Bug("kernels/dropout.py", "nonzero - LEVELS // 2", "nonzero - LEVELS // 4", ("kernels/test_dropout.py", "-k", "share")),
    Bug("kernels/dropout.py", ".mul_(LEVELS / nonzero)", "", ("kernels/test_dropout.py", "-k", "share")),
    # search
    Bug("search/topk.py", "block_BK % blocks * BLOCK", "block_BK % blocks", ("search/test_topk.py", "-k", "top_candidates")),
    Bug("search/topk.py", "(rest + before_BW[:, :, None])", "(rest + 2 * before_BW[:, :, None])", ("search/test_topk.py", "-k", "top_candidates")),
    Bug("search/topk.py", "whole.amax(3) + before_BW[:, :, None]", "whole.amax(3)", ("search/test_topk.py", "-k", "top_candidates")),
    Bug("search/topk.py", "torch.float32)).log_softmax(1)", "torch.float32))", ("search/test_beam.py",)),
    Bug("inference/scheduling/fork_pool.py", "[here, *(other for _, other in self._children)]", "[]", ("inference/test_fork_pool.py", "-k", "with_the_program")),
    Bug("inference/scheduling/fork_pool.py", "weakref.WeakMethod(work) if hasattr(work, \"__self__\") else lambda: work", "lambda: work", ("inference/test_fork_pool.py", "-k", "its_owner")),
    Bug("inference/scheduling/fork_pool.py", "signal.signal(signal.SIGINT, signal.SIG_IGN)", "pass", ("inference/test_fork_pool.py", "-k", "to_the_caller")),
    Bug("inference/scheduling/fork_pool.py", "iter(enumerate(jobs))", "iter(enumerate(jobs[::-1]))", ("inference/test_fork_pool.py", "-k", "order")),
    Bug("inference/scheduling/batches.py", "rest = (position - start) % GROUP", "rest = 0", ("inference/test_translator.py", "-k", "filled")),
    Bug("inference/scheduling/batches.py", " and lengths[row] * (rest + 1) <= batch_tokens", "", ("inference/test_translator.py", "-k", "filled")),
    Bug("inference/scheduling/threads.py", "_in_a_new_thread(lambda: torch.set_num_threads(before), numbers)", "pass", ("inference/test_threads.py",)),
    Bug("inference/scheduling/threads.py", "torch.set_num_threads(1)", "pass", ("inference/test_threads.py",)),
    Bug("models/decoders/conv.py", "(context * scale_B[:, None, None]).to(context.dtype)", "context * scale_B[:, None, None]", ("search/test_families.py", "-k", "half_precision")),
    Bug("search/beam.py", "finished.score[:, n_best - 1])", "finished.score[:, 0])", ("search/test_families.py", "-k", "early_stops")),
    Bug("search/beam.py", "    results.put(sentence_B, finished)\n    refuse_nan", "    refuse_nan", ("search/test_beam.py", "-k", "enumeration")),
    Bug("search/beam.py", "alive_BW, 2 * beam)", "alive_BW, beam + 1)", ("search/test_families.py", "-k", "early_stops")),
    Bug("search/beam.py", "        if beam == 1:\n", "        if False:\n", ("search/test_families.py", "-k", "greedy_search")),
    Bug("search/backpointers.py", "torch.where(step <= last_E, parents[step - 1][index, row_E], row_E)", "row_E", ("search/test_families.py", "-k", "teacher_forcing and beam")),
    Bug("search/step.py", "float(length**length_penalty)", "float(length) * length_penalty", ("search/test_families.py", "-k", "teacher_forcing and samples")),
    Bug("search/sampling.py", "open_BW & (token_BW == limits.eos)", "token_BW == limits.eos", ("search/test_families.py", "-k", "teacher_forcing and samples")),
    Bug("search/constraints.py", "F.pad(prefix_BP, (0,", "F.pad(prefix_BP[:, :-1], (0, 1 +", ("search/test_beam.py",)),
    Bug("search/constraints.py", "forced_log_p_BW1 = log_p_BWN.gather(2, index_BW1)", "forced_log_p_BW1 = log_p_BWN.gather(2, index_BW1) - 1e-3", ("search/test_families.py", "-k", "teacher_forcing and prefix")),
    Bug("models/decoders/transformer.py", "own = torch.eye(width, dtype", "own = torch.ones(width, width, dtype", ("search/test_families.py", "-k", "teacher_forcing and beam")),
    Bug("models/decoders/transformer.py", "caches[0].used // width", "caches[0].used", ("search/test_families.py", "-k", "teacher_forcing and beam")),
    Bug("inference/scheduling/batches.py", "GROUP, STEP = 4, 16", "GROUP, STEP = 4, 8", ("search/test_families.py", "-k", "same_bits")),
    Bug("inference/scheduling/batches.py", "GROUP, STEP = 4, 16", "GROUP, STEP = 1, 16", ("search/test_families.py", "-k", "same_bits")),
    Bug("search/no_repeat_ngram.py", "self.tokens_BWT.unfold(2", "self.tokens_BWT[:, :, :-1].unfold(2", ("search/test_no_repeat_ngram.py", "-k", "apply_bans or enumeration")),
    Bug("search/no_repeat_ngram.py", "shape[2] < self.ngram", "shape[2] <= self.ngram", ("search/test_no_repeat_ngram.py", "-k", "apply_bans or enumeration")),
    Bug("search/no_repeat_ngram.py", "        log_p_BWN[:, :, self.eos] = eos_BW\n", "", ("search/test_no_repeat_ngram.py", "-k", "never_bans")),
    Bug("search/no_repeat_ngram.py", "[self.tokens_BWT.gather(1, index_BWT), token_BW1]", "[self.tokens_BWT, token_BW1]", ("search/test_families.py", "-k", "teacher_forcing and repeat")),
    Bug("search/no_repeat_ngram.py", "self.tokens_BWT = self.tokens_BWT[sentence_B]", "self.tokens_BWT = self.tokens_BWT[: len(sentence_B)]", ("search/test_no_repeat_ngram.py", "-k", "one_by_one")),
    Bug("search/mbr.py", "count * utility(output, reference)", "utility(output, reference)", ("search/test_mbr.py",)),
    Bug("search/mbr.py", "utility(output, reference)", "utility(reference, output)", ("search/test_mbr.py",)),
    Bug("search/mbr.py", "/ len(outputs) for output", "/ len(counts) for output", ("search/test_families.py", "-k", "utility")),
    Bug("inference/options.py", "(own | self.given())", "(self.given() | own)", ("inference/test_options.py", "-k", "resolved_puts")),
    Bug("inference/options.py", "resolved.n_best if self.sample else resolved.width", "resolved.beam", ("inference/test_options.py", "-k", "resolved")),
    Bug("inference/options.py", "value is not None and value is not False", "value is not None", ("inference/test_options.py", "-k", "resolved")),
    Bug("inference/options.py", "elif not any(map(self._has, rule.needed))", "elif not all(map(self._has, rule.needed))", ("inference/test_translator.py", "-k", "utility")),
    Bug("cli/search_flags.py", "parameters += [_parameter(name, help.get(name))", "parameters += [_parameter(name, None)", ("cli/test_flags.py",)),
    Bug("cli/app.py", "error.setting, search_flags.NAMES", "error.setting", ("cli/test_translate.py", "-k", "translate_reports_usage_errors_first_and_names_the_option")),
    Bug("inference/predictor.py", "hypotheses[index]._replace(score=utility)", "hypotheses[index]", ("inference/test_translator.py", "-k", "utility_chooses")),
    Bug("inference/forced.py", "length = len(targets[i]) + 1", "length = len(targets[i])", ("evaluation/test_translation.py", "-k", "forcing")),
    Bug("evaluation/forced_decoding.py", "len(output.tokens) + 1 for", "len(output.tokens) for", ("evaluation/test_translation.py", "-k", "forcing")),
    Bug("evaluation/translation.py", "return not is_blank(translation.source) and", "return", ("evaluation/test_translation.py", "-k", "blank")),
    Bug("evaluation/text.py", "effective_order=True", "effective_order=False", ("evaluation/test_text.py", "-k", "utility")),
    Bug("evaluation/cider.py", "np.minimum(ours, theirs) * theirs", "ours * theirs", ("evaluation/test_captions.py", "-k", "papers")),
    Bug("evaluation/cider.py", "/ (2 * SIGMA**2)", "/ SIGMA**2", ("evaluation/test_captions.py", "-k", "hand")),
    Bug("evaluation/cider.py", "idf_G = np.full(len(grams.gram_G), self._rarest)", "idf_G = np.zeros(len(grams.gram_G))", ("evaluation/test_captions.py", "-k", "hand")),
    Bug("evaluation/cider.py", "+ self._first_P[image_C][candidate_B]", "+ self._first_P[candidate_B]", ("evaluation/test_captions.py", "-k", "reward")),
    Bug("evaluation/cider.py", "len(words) + len(unknown))", "len(words))", ("evaluation/test_captions.py", "-k", "reward")),
    Bug("evaluation/rouge.py", "length / words for", "length / len(candidate) for", ("evaluation/test_captions.py", "-k", "hand")),
    Bug("evaluation/captions.py", 'BLEU(tokenize="none", smooth_method="none"', 'BLEU(tokenize="13a", smooth_method="none"', ("evaluation/test_captions.py", "-k", "hand")),
    Bug("evaluation/captions.py", 'smooth_method="none", max_ngram_order=n', 'smooth_method="exp", max_ngram_order=n', ("evaluation/test_captions.py", "-k", "hand")),
    Bug("evaluation/pointing.py", "np.repeat((np.arange(h) + 0.5) * side / h, w)", "np.tile((np.arange(h) + 0.5) * side / h, w)", ("evaluation/test_pointing.py",)),
    Bug("evaluation/pointing.py", "(left <= x_S) & (x_S < right) & (top <= y_S) & (y_S < bottom)", "(left <= y_S) & (y_S < right) & (top <= x_S) & (x_S < bottom)", ("evaluation/test_pointing.py",)),
    Bug("evaluation/pointing.py", "weights_TS[word] == weights_TS[word].max()", "weights_TS[word - 1] == weights_TS[word - 1].max()", ("evaluation/test_pointing.py", "-k", "each_word")),
    Bug("evaluation/pointing.py", 'min(size) if fit == "crop"', 'max(size) if fit == "crop"', ("evaluation/test_pointing.py", "-k", "hand")),
    Bug("evaluation/pointing.py", "(side - width * across) / 2", "0", ("evaluation/test_pointing.py", "-k", "hand")),
    Bug("evaluation/pointing.py", "held_S[largest_S].mean()", "held_S[largest_S][0]", ("evaluation/test_pointing.py", "-k", "share")),
    Bug("evaluation/ptb_tokenizer.py", "return [*_words(clitic[1]), clitic[2]]", "return [piece]", ("evaluation/test_ptb_tokenizer.py", "-k", "stanfords")),
    Bug("evaluation/captions.py", "of_image[number] if number < len(of_image) else None", "of_image[number % len(of_image)]", ("evaluation/test_captions.py", "-k", "skip_missing")),
    Bug("evaluation/captioning.py", "for _ in split.captions[number]]", "for _ in split.captions[0]]", ("cli/test_evaluate_images.py", "-k", "likelihood")),
    Bug("evaluation/captioning.py", "lambda caption: not is_blank(caption.text)", "lambda caption: True", ("cli/test_evaluate_images.py", "-k", "blank")),
    Bug("evaluation/captioning.py", "pointing(caption.attention,", "pointing(caption.attention[::-1],", ("cli/test_evaluate_images.py", "-k", "box")),
    Bug("evaluation/captioning.py", "split.sizes[image], captioner", "split.sizes[image][::-1], captioner", ("cli/test_evaluate_images.py", "-k", "box")),
    Bug("evaluation/captioning.py", "enumerate(captions, block.first)", "enumerate(captions[::-1], block.first)", ("cli/test_evaluate_images.py", "-k", "box")),
    Bug("inference/captioner.py", "torch.tensor(index,", "torch.tensor(index[::-1],", ("cli/test_evaluate_images.py", "-k", "likelihood")),
    Bug("inference/scheduling/fork_pool.py", "                raise _Stuck", "                pass", ("inference/test_fork_pool.py", "-k", "replaces")),
    Bug("tasks/training.py", "on_event(event) is True", "on_event(event) is False", ("tasks/test_tasks.py", "-k", "on_event_returns_true")),
    Bug("tasks/training.py", "return self._stop or stop()", "return stop()", ("tasks/test_tasks.py", "-k", "training_session")),
    Bug("tasks/report.py", "statistics.stdev(of)", "statistics.pstdev(of)", ("tasks/test_tasks.py", "-k", "seeds")),
    Bug("tasks/evaluated_runs.py", 'if name != "train.seed"', "if True", ("tasks/test_tasks.py", "-k", "seeds")),
    Bug("tasks/evaluation.py", "if listed and all(", "if False and all(", ("tasks/test_tasks.py", "-k", "takes_texts")),
    Bug("tasks/evaluation.py", "        self.search.check()\n", "", ("tasks/test_tasks.py", "-k", "go_together")),
    Bug("tasks/table.py", "_LATEX.get(character, character)", "character", ("tasks/test_tasks.py", "-k", "escapes")),
    Bug("tasks/report.py", "group.setdefault(report.seed, report)", "group.setdefault(len(group), report)", ("tasks/test_tasks.py", "-k", "seeds")),
    Bug("tasks/evaluated_runs.py", "[of_all_seeds, place, tokenizers]", "[of_all_seeds, tokenizers]", ("tasks/test_tasks.py", "-k", "other_data")),
    Bug("tasks/evaluated_runs.py", "return changed | _others(search)", "return changed", ("tasks/test_tasks.py", "-k", "drawn")),
    Bug("cli/evaluate.py", "named=len(names) > 1", "named=len(splits) > 1", ("tasks/test_tasks.py", "-k", "name_of_each")),
    Bug("tasks/training.py", "with torch.random.fork_rng(", "with torch.random.fork_rng(enabled=False, devices=", ("tasks/test_tasks.py", "-k", "random_numbers")),
    Bug("tasks/training.py", "        if self._closed:\n", "        if False:\n", ("tasks/test_tasks.py", "-k", "closed_training")),
    Bug("tasks/table.py", "for character in _printable(text)", "for character in text", ("tasks/test_tasks.py", "-k", "hostile_names")),
    Bug("inference/encoding.py", "    return list(values)", "    return values", ("tasks/test_tasks.py", "-k", "generators")),
    Bug("own_code/permission.py", "except BaseException as error:  # sys.exit", "except Exception as error:  # sys.exit", ("own_code/test_permission.py", "-k", "users_file")),
    Bug("cli/app.py", "    if own:\n", "    if False:\n", ("own_code/test_permission.py", "-k", "later")),
    Bug("cli/console.py", "text = with_flags(record.getMessage(), flags)", "text = record.getMessage()", ("cli/test_evaluate.py", "-k", "changed")),
    Bug("tasks/caption_test_set.py", "if outputs is None:", "if not outputs:", ("cli/test_evaluate_images.py", "-k", "nothing_again")),
    Bug("tasks/evaluated_runs.py", 'changed["precision"] = predictor.precision', "pass", ("cli/test_evaluate.py", "-k", "precision")),
    Bug("tasks/caption_test_set.py", "compared = of_bleu | others", "compared = others", ("cli/test_evaluate_images.py", "-k", "compares")),
    Bug("search/beam.py", "* beam + parent_BW", "* beam + parent_BW.sort(1).values", ("search/test_state.py",)),
    Bug("search/beam.py", "end_log_p_BW / (length + 1) ** length_penalty", "end_log_p_BW / max(length, 1) ** length_penalty", ("search/test_beam.py",)),
    Bug("search/beam.py", "(constraints.limit_B + 1).double() ** length_penalty", "(length + 1) ** length_penalty", ("search/test_beam.py",)),
    Bug("search/constraints.py", "index_fill_(2, self.banned, -torch.inf)", "index_fill_(2, self.banned[1:], -torch.inf)", ("search/test_beam.py",)),
    Bug("search/backpointers.py", "weights[rows[: last + 1]]", "weights[rows[:last]]", ("search/test_beam.py",)),
    Bug("search/sampling.py", "log_p_RN.double() / temperature", "log_p_RN.double() * temperature", ("search/test_sampling.py",)),
    # batches
    Bug("data/batches.py", "targets_BT[:, :-1], PAD", "targets_BT[:, 1:], PAD", ("data/test_plan_and_collate.py",)),
    Bug("data/batches.py", "positions <= lengths[:, None]", "positions < lengths[:, None]", ("data/test_plan_and_collate.py",)),
    Bug("data/batches.py", "np.random.default_rng([seed, epoch])", "np.random.default_rng(seed)", ("data/test_plan_and_collate.py",)),
    Bug("data/batches.py", "longest = np.maximum(source, target)", "longest = source", ("data/test_plan_and_collate.py",)),
    # inference
    Bug("models/state.py", "index_R[:: self.width] // self.width", "index_R[:sentences] // self.width", ("models/test_laws.py", "-k", "long_search and transformer")),
    Bug("inference/translator.py", "source_BS != PAD", "source_BS != EOS", ("inference/test_translator.py",)),
    Bug("inference/ensemble.py", "logsumexp(0) - math.log(len(log_probs))", "mean(0)", ("inference/test_translator.py",)),
    Bug("inference/words.py", "@ to_source / counts", "@ to_source", ("inference/test_translator.py",)),
    Bug("runs/loading.py", "_changed(one, settings) for one in stored", "_changed(one, settings if one is stored[0] else []) for one in stored", ("inference/test_translator.py", "-k", "every_run")),
    Bug("inference/predictor.py", "[seed_of(options.seed, numbers[i]) for i in batch],\n                options", "[seed_of(options.seed, i) for i in batch],\n                options", ("inference/test_translator.py", "-k", "hard_model")),
    Bug("attention/attention.py", "stream_B.repeat_interleave(rows // len(mask_BS))", "stream_B.repeat(rows // len(mask_BS))", ("inference/test_translator.py", "-k", "hard_model")),
    Bug("runs/loading.py", "    if _shapes(changed) != shapes:", "    if False:", ("inference/test_translator.py", "-k", "other_weights")),
    Bug("config/consistency.py", "and not mark.holds(", "and mark.holds(", ("config/test_consistency.py", "-k", "condition")),
    # training
    Bug("kernels/linear_cross_entropy.py", "target_weight, mean_M = 1 - smoothing,", "target_weight, mean_M = 1.0,", ("kernels/test_linear_cross_entropy.py",)),
    Bug("kernels/linear_cross_entropy.py", ".sub_(mean_weight, alpha=smoothing)", ".sub_(mean_weight, alpha=smoothing / len(bias))", ("kernels/test_linear_cross_entropy.py",)),
    Bug("training/schedules.py", "return train.lr * step / train.warmup", "return train.lr * (step - 1) / train.warmup", ("training/test_schedules.py",)),
    Bug("training/schedules.py", "return 0.0, -round(loss, 3)", "return value, -round(loss, 3)", ("training/test_schedules.py", "-k", "near_zero")),
    Bug("training/schedules.py", "max(least, of_few / math.sqrt(sentences)) if sentences else least", "least", ("training/test_schedules.py", "-k", "near_zero")),
    Bug("evaluation/form.py", "normalise(text, lowercase).replace", "text.replace", ("evaluation/test_form.py", "-k", "text_scores")),
    Bug("inference/npz_reader.py", "math.prod(shape) * dtype.itemsize > MOST_BYTES", "math.prod(shape) > 2**62", ("inference/test_hostile_attention_file.py", "-k", "little_memory")),
    Bug("tasks/caption_test_set.py", "text.metric(\"BLEU\", streams, self.language, self.lowercase)", "text.metric(\"BLEU\", streams, self.language)", ("cli/test_evaluate_images.py", "-k", "without_case")),
    Bug("training/validation.py", "loss, scores.sentences, scores.chrf)", "loss)", ("training/test_trainer.py", "-k", "near_zero")),
    Bug("tasks/training_data.py", "if near_zero(\"bleu\", value, len(outputs)):", "if False:", ("cli/test_scores_of_other_forms.py", "-k", "text_scores")),
    Bug("training/schedules.py", "score > self.best:", "score < self.best:", ("training/test_schedules.py",)),
    Bug("training/microbatches.py", "for index in range(position, len(order)):", "for index in range(len(order)):", ("training/test_trainer.py", "-k", "10_steps or bit or resum")),
    Bug("training/batch_gradient.py", "torch.manual_seed(seed)", "pass", ("training/test_trainer.py", "-k", "10_steps or bit or resum")),
    Bug("training/batch_gradient.py", "sums.objective / tokens", "sums.objective / len(batch.targets_M)", ("training/test_trainer.py", "-k", "accumul")),
    Bug("training/batch_gradient.py", "sums.objective / tokens", "sums.loss / tokens", ("training/test_reinforce.py", "-k", "goes_down")),
    Bug("training/trainer.py", " if known is None else known", "", ("training/test_reinforce.py", "-k", "tells_baseline")),
    Bug("training/objectives/cross_entropy.py", "to_go=self.model.decoder.context_feeds_later_steps", "to_go=False", ("training/test_reinforce.py", "-k", "could_change")),
    Bug("training/state.py", '{"tensors": tensors} | asdict(state)', '{"tensors": tensors} | asdict(state) | {"baseline": None}', ("training/test_trainer.py", "-k", "10_steps or bit or resum")),
    Bug("training/objectives/reinforce.py", "-losses_M - baseline", "-losses_M + baseline", ("training/test_reinforce.py", "-k", "given_draws")),
    Bug("training/objectives/reinforce.py", "gain_BT.flip(1).cumsum(1).flip(1)", "gain_BT.cumsum(1)", ("training/test_reinforce.py", "-k", "given_draws")),
    Bug("training/objectives/reinforce.py", "return -settings.weight *", "return settings.weight *", ("training/test_reinforce.py", "-k", "given_draws")),
    Bug("training/objectives/reinforce.py", "- settings.entropy_weight * entropy", "+ settings.entropy_weight * entropy", ("training/test_reinforce.py", "-k", "given_draws")),
    Bug("training/objectives/reinforce.py", "settings.baseline_decay * baseline + (1 - settings.baseline_decay) * reward", "settings.baseline_decay * reward + (1 - settings.baseline_decay) * baseline", ("training/test_reinforce.py", "-k", "moving_average")),
    Bug("training/trainer.py", "            self._save()\n            self.world.barrier()", "            self.world.barrier()", ("training/test_resume.py", "-k", "before_its_first_step")),
    Bug("training/resume.py", "    refuse_unfit(state, tensors, Expected.by(trained, run.config.train), where)", "", ("training/test_resume.py", "-k", "moment")),
    Bug("runs/claim.py", "stack.enter_context(locks.lock(lock))", "locks.lock(lock)", ("runs/test_claim.py", "-k", "second")),
    Bug("training/resume.py", "        refuse_resume(path)", "        pass", ("runs/test_claim.py", "-k", "resume")),
    Bug("runs/tensors.py", "if tensor.dtype != tensors[name].dtype:", "if False:", ("runs/test_directory.py", "-k", "dtype")),
    Bug("cli/signals.py", "(number not in PRESSING or now - self._last < SAME)", "now - self._last < SAME", ("cli/test_signals.py", "-k", "once")),
    Bug("training/gradient_step.py", "self.scaler.unscale_(self.optimizer)", "self.scaler.is_enabled()", ("training/test_clipping.py",)),
    Bug("training/gradient_step.py", "settings.clip_norm / (norm + 1e-6)", "settings.clip_norm / (norm.square() + 1e-6)", ("training/test_trainer.py", "-k", "clip")),
    Bug("training/validation.py", "list(self.weights.values()), 1 - decay)", "list(self.weights.values()), decay)", ("training/test_trainer.py", "-k", "average")),
    Bug("training/validation.py", "tensor]).mean(0)", "tensor]).sum(0) / (self.earlier.maxlen + 1)", ("training/test_trainer.py", "-k", "mean_is")),
    Bug("training/validation.py", "maxlen=settings.average - 1", "maxlen=settings.average", ("training/test_trainer.py", "-k", "mean_is")),
    Bug("training/resume.py", "in divided(earlier[number]).items()}", "in divided(earlier[min(earlier)]).items()}", ("training/test_trainer.py", "-k", "ten_and_ten")),
    Bug("training/resume.py", "for number in sorted(earlier)", "for number in sorted(earlier)[::-1]", ("training/test_trainer.py", "-k", "ten_and_ten")),
    Bug("training/validation.py", "weights = self.moving or self.weights", "weights = self.weights", ("training/test_trainer.py", "-k", "mean_is")),
    Bug("training/validation.py", 'tensor.to("cpu", copy=True)', 'tensor.to("cpu")', ("training/test_trainer.py", "-k", "mean_is")),
    Bug("training/validation.py", "with self.averages.in_place():", "with torch.no_grad():", ("training/test_trainer.py", "-k", "average")),
    # export
    Bug("export/ctranslate2.py", '"rotary_interleave": False', '"rotary_interleave": True', ("export/test_ctranslate2.py", "-k", "scores_targets and today")),
    Bug("export/ctranslate2.py", "shift).mT.repeat_interleave(heads // parts, 0)", "shift).mT.repeat(heads // parts, 1, 1)", ("export/test_ctranslate2.py", "-k", "scores_targets and shared")),
    Bug("export/ctranslate2.py", "(then(columns) - shift).mT", "then(columns).mT", ("export/test_ctranslate2.py", "-k", "vector_of_its_own")),
    Bug("export/ctranslate2.py", "weight = (then(", "weight = ((", ("export/test_ctranslate2.py", "-k", "scores_targets and general")),
    Bug("export/ctranslate2.py", " / own.normalise.temperature", "", ("export/test_ctranslate2.py", "-k", "scores_targets and warm")),
    Bug("export/ctranslate2.py", "return zeros if table is None", "return None if table is None", ("export/test_ctranslate2.py", "-k", "scores_targets and positions")),
    Bug("export/ctranslate2.py", "add_source_eos = True", "add_source_eos = False", ("export/test_ctranslate2.py", "-k", "scores_targets and first")),
    Bug("export/ctranslate2.py", '"alignment_layer": -1', '"alignment_layer": 0', ("export/test_ctranslate2.py", "-k", "attention_is")),
    Bug("export/ctranslate2.py", ", copy=True)", ")", ("export/test_ctranslate2.py", "-k", "quantization")),
    Bug("inference/heads.py", "if not heads.any or not caption.words", "if not heads.layer or not caption.words", ("cli/test_caption.py", "-k", "layer_or_head")),
    # pictures
    Bug("plotting/grid.py", "ceiling([panel.matrix.weights for panel in panels])", "ceiling([panels[0].matrix.weights])", ("plotting/test_grid.py", "-k", "one_scale")),
    Bug("plotting/grid.py", "slots[panel.column] = max(slots[panel.column], size.width / DPI)", "pass", ("plotting/test_grid.py", "-k", "overlap")),
    Bug("plotting/figures.py", "        text.set_position(moved(*text.get_position()))", "        pass", ("plotting/test_grid.py", "-k", "overlap")),
    Bug("plotting/html_fragment.py", "html.escape(page)", "html.escape(page, quote=False)", ("plotting/test_html_fragment.py",)),
    Bug("inference/captioner.py", "[_path(image) for image in images],", "[None] * len(images),", ("inference/test_drawing.py", "-k", "knows_its_file")),
    Bug("cli/plot_texts.py", "return [list(row) for row in zip(*columns, strict=True)]", "return columns", ("cli/test_plot_several.py", "-k", "columns")),
    Bug("config/scores.py", '"s . W h", product=True', '"s . W h"', ("export/test_limits.py", "-k", "dot_products")),
    Bug("inference/captioner.py", "len(source) if self.clips else None, target_ids", "None, target_ids", ("inference/test_self_attention.py", "-k", "clip")),
    Bug("export/page_limits.py", "if model.pointer:", "if False:", ("export/test_page.py", "-k", "way_out")),
    Bug("export/page_limits.py", 'a.at_inference == "sample"', "False", ("export/test_page.py", "-k", "cannot_compute")),
    Bug("export/page_limits.py", "if size > MOST:", "if size > 2 * MOST:", ("export/test_page.py", "-k", "refuse_size")),
    Bug("export/page_run.py", "if not half.isfinite().all():", "if half.isnan().any():", ("export/test_page.py", "-k", "cannot_hold")),
    Bug("export/page_run.py", "if id(parameter) not in places:", "if True:", ("export/test_page.py", "-k", "tied")),
    Bug("export/page.py", 'policy = bundle.POLICY.replace("script-src', 'policy = bundle.POLICY.replace("no-src', ("export/test_page.py", "-k", "script_alone")),
    Bug("export/page.py", "if MARK.encode() in file", "if b'' in file", ("export/test_page.py", "-k", "force_only")),
    Bug("export/limits.py", 'if a.window != "none"', 'if a.window == "local-p"', ("export/test_limits.py",)),
    # files that are written
    Bug("files.py", "                os.rename(old, folder.with_name(name))", "                pass", ("test_files.py", "-k", "moves")),
    Bug("files.py", "            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)", "            pass", ("test_files.py", "-k", "has_its_own")),
    Bug("files.py", "            continue\n        except OSError:  # this file system", "            pass\n        except OSError:  # this file system", ("test_files.py", "-k", "leaves_no_trace")),
    Bug("files.py", "os.fchmod(descriptor, mode)", "pass", ("test_files.py", "-k", "keeps_its_mode")),
    Bug("files.py", "if _identity(folder / _OLD) != before:", "if False:", ("test_files.py", "-k", "at_its_end")),
    Bug("locks.py", "os.register_at_fork(after_in_child=_let_go_in_child)", "", ("test_files.py", "-k", "child")),
    Bug("files.py", "if _may_be_elsewhere(folder):", "if False:", ("test_files.py", "-k", "another_machine")),
    Bug("files.py", "os.replace(new, place)\n    _sync(place.parent)", "os.replace(new, place)", ("test_files.py", "-k", "on_the_disk")),
    Bug("files.py", "                locks.keep(descriptor)", "                pass", ("test_files.py", "-k", "child")),
    Bug("data/worker_processes.py", "    if error is not None:\n        raise error", "    pass", ("data/test_worker_processes.py", "-k", "raises_an_error")),
    Bug("data/worker_processes.py", "os._exit(1)", "pass", ("data/test_worker_processes.py", "-k", "without_its_caller")),
    # images: their data, how they are described and learned from
    Bug("data/images/dataset.py", " and (np.diff(self.image_of) >= 0).all()", "", ("data/images/test_prepared_images.py", "-k", "unfitting")),
    Bug("data/images/dataset.py", "!= len(self._images):", "> len(self._images):", ("data/images/test_prepared_images.py", "-k", "unfitting")),
    Bug("data/images/reading.py", "if missing.count <= max_missing * number:", "if True:", ("data/images/test_prepared_images.py", "-k", "more_missing")),
    Bug("data/images/prepare.py", "digest.update(frame)", "digest.update(image.name.encode())", ("data/images/test_prepared_images.py", "-k", "equal_files")),
    Bug("data/spool.py", "mask[first : first + batch.num_rows]", "mask[: batch.num_rows]", ("data/images/test_prepared_images.py", "-k", "several_batches")),
    Bug("data/images/prepare.py", "image += has_captions[-1]", "image += 1", ("data/images/test_prepared_images.py", "-k", "several_batches")),
    Bug("data/images/files.py", "int(part) if part.isdecimal() else part", "part", ("data/images/test_prepared_images.py", "-k", "numeric_order")),
    Bug("data/prepared.py", "        self._require(modality)\n", "", ("data/images/test_prepared_images.py", "-k", "images_as_text")),
    Bug("config/modality.py", "settings.get(one.encoder[0]) == one.encoder[1]", "settings.get(one.encoder[0])", ("config/test_modality.py", "-k", "of_encoder")),
    Bug("config/modality.py", "if report.get(one.name)", "if one.name in report", ("config/test_modality.py", "-k", "of_report")),
    Bug("config/idle.py", "mark.why.format(value)", "mark.why", ("config/test_modality.py", "-k", "both_modalities")),
    Bug("tasks/captioning.py", "return image_files(path if path.is_dir() else path.parent, follow_links)", "return ()", ("cli/test_train.py", "-k", "changed_images")),
    Bug("tasks/translation.py", "and not name_code(runs)", "and name_code(runs)", ("cli/test_evaluate_images.py", "-k", "options_of_text")),
    Bug("cli/plot_options.py", 'own.name != ("images" if of_image else "text")', "False", ("cli/test_plot_images.py", "-k", "contradictory or missing_inputs")),
    Bug("data/images/transforms.py", "+ epoch * self.captions", "+ epoch", ("data/images/test_transforms.py", "-k", "differ_by_epoch")),
    Bug("data/images/transforms.py", "hash((draw, image))", "hash(draw)", ("data/images/test_transforms.py", "-k", "other_images")),
    Bug("data/images/transforms.py", "augmentation = None if draw is None else self.augmentation", "augmentation = self.augmentation", ("data/images/test_transforms.py", "-k", "needs_a_draw")),
    Bug("data/images/transforms.py", "source_of.astype(np.int64)", "source_of[::-1].astype(np.int64)", ("data/images/test_transforms.py", "-k", "source_indices")),
    Bug("data/images/transforms.py", "np.arange(longest) < lengths[:, None]", "np.arange(longest) <= lengths[:, None]", ("data/images/test_transforms.py", "-k", "masks or stack_images")),
    Bug("data/images/transforms.py", "batch_tokens, seed, epoch, counts)", "batch_tokens, seed, epoch)", ("data/images/test_transforms.py", "-k", "every_caption")),
    Bug("data/images/transforms.py", "features[:, :longest].nan_to_num(0.0)", "features[:, :longest]", ("data/images/test_transforms.py", "-k", "shorter_clips")),
    Bug("models/memory.py", 'part if name == "grid" else select(part, source_R)', 'part if name in ("grid", "summary_BV") else select(part, source_R)', ("models/test_memory.py", "-k", "share")),
    Bug("inference/captioner.py", " and self._grids[member] == self.grid", "", ("inference/test_captioner.py", "-k", "averages_attention")),
    Bug("inference/captioner.py", "image.movedim(-3, -1) if are_pixels else image for", "image for", ("inference/test_captioner.py", "-k", "rows_of_the")),
    Bug("inference/captioner.py", ".sum(-1)[..., :frames]", ".sum(-1)", ("inference/test_captioner.py", "-k", "own_frames")),
    Bug("runs/loading.py", "(own := one.config.model.modality) != modality", "False", ("inference/test_captioner.py", "-k", "do_not_fit")),
    Bug("inference/feature_cache.py", '"image_size", "resize"', '"resize"', ("training/test_images.py", "-k", "feature_key")),
    Bug("inference/feature_cache.py", "            digest.update(block)", "            pass", ("training/test_images.py", "-k", "feature_key")),
    Bug("evaluation/rewards.py", ", min_length=0, no_repeat_ngram=0", "", ("training/test_self_critical.py", "-k", "drawn_by")),
    Bug("evaluation/rewards.py", "/ (settings.samples - 1)", "/ settings.samples", ("training/test_self_critical.py", "-k", "advantages")),
    Bug("evaluation/rewards.py", "mask_RT & (finished_R1 | (targets_RT != EOS))", "mask_RT", ("training/test_self_critical.py", "-k", "never_chose")),
    Bug("evaluation/rewards.py", "[number for number in numbers for _ in range(count)]", "list(numbers) * count", ("training/test_self_critical.py", "-k", "advantages")),
    Bug("training/objectives/self_critical.py", ".index_fill(1, real_M.new_tensor(sampled.banned), -torch.inf)", "", ("training/test_self_critical.py", "-k", "definition or over_all")),
    Bug("training/objectives/self_critical.py", "sampled.targets_RT.size(1)]).sum()", "sampled.targets_RT.size(1)]).mean()", ("training/test_self_critical.py", "-k", "definition or over_all")),
    Bug("training/gradient_exchange.py", "[p for p in self._model.parameters() if p.requires_grad]", "list(self._model.parameters())", ("training/test_distributed.py", "-k", "gradients_are")),
    Bug("training/validation.py", "mix(self.settings.seed, number)", "mix(self.settings.seed, self.world.rank)", ("training/test_validation.py",)),
    Bug("training/sharding.py", "part.set_gradient_divide_factor(1.0)", "pass", ("training/test_distributed.py", "-k", "shards_equal and rnn")),
    Bug("devices.py", "    compute_float32_exactly()\n", "", ("test_devices.py", "-k", "tf32")),
    Bug("shared_cores.py", "if not can_start(team_size()):", "if False:", ("test_shared_cores.py", "-k", "limit")),
    Bug("inference/scheduling/threads.py", "            pool.shutdown()\n", "", ("inference/test_threads.py", "-k", "cannot_all")),
    Bug("training/sharding.py", 'warnings.filterwarnings("ignore", "FSDP2', 'warnings.filterwarnings("ignore", "FSDP9', ("training/test_images.py", "-k", "shards_of_images_have and transformer")),
    Bug("training/resume.py", "divided_like(some[name], parameter)", "some[name]", ("training/test_distributed.py", "-k", "shards_equal and rnn")),
    Bug("training/validation.py", "local(tensor) for name, tensor in tensors", "tensor for name, tensor in tensors", ("training/test_distributed.py", "-k", "shards_equal and rnn")),
    Bug("training/distributed.py", "/{ranks.restarts()}", "", ("training/test_elastic.py", "-k", "4-2")),
    Bug("tasks/training.py", "        plan = _restarted(plan, world)\n", "", ("training/test_elastic.py", "-k", "2-1")),
    Bug("cli/output/described_images.py", "first += len(block)", "first += len(pixels)", ("cli/test_chunks.py", "-k", "depend_on_no")),
    Bug("cli/output/described_images.py", "[first + i for i, image in", "[first for i, image in", ("cli/test_chunks.py", "-k", "depend_on_no")),
    Bug("tasks/chunks.py", "if number in self.finished:", "if False:", ("cli/test_chunks.py", "-k", "continues_after")),
    Bug("tasks/chunks.py", '"models": models, ', "", ("cli/test_chunks.py", "-k", "another_input")),
    Bug("tasks/chunks.py", "elif self.folder.exists() and not _is_empty(self.folder):", "elif self.folder.exists():", ("cli/test_chunks.py", "-k", "nothing_to_move")),
    Bug("files.py", "elif entry.name != last:", "elif False:", ("cli/test_chunks.py", "-k", "nothing_to_move")),
    Bug("tasks/chunks.py", "files.is_replaced(output)", "(not output.exists() or output.is_file())", ("cli/test_chunks.py", "-k", "descriptor")),
    Bug("cli/failure.py", "    if lost or not ranks.speaks():", "    if lost:", ("training/test_distributed.py", "-k", "says_nothing")),
    Bug("cli/failure.py", "2 * MOMENT if lost else MOMENT", "MOMENT", ("training/test_distributed.py", "-k", "lets_it_tell_first")),
    Bug("training/resume.py", "if name != named)", "if name)", ("training/test_resume.py", "-k", "cut_off")),
    Bug("training/gradient_exchange.py", "nullcontext() if last else", "nullcontext() if True else", ("training/test_distributed.py", "-k", "gradients_are")),
    Bug("training/gradient_exchange.py", "find_unused_parameters=True", "find_unused_parameters=False", ("training/test_distributed.py", "-k", "gradients_are")),
    Bug("training/gradient_step.py", "parameter.requires_grad_(True)", "parameter.requires_grad", ("training/test_images.py", "-k", "same_model")),
    Bug("training/gradient_step.py", "requires_grad_(step > self.settings.unfreeze_step)", "requires_grad_(True)", ("training/test_images.py", "-k", "thaws")),
    Bug("training/gradient_step.py", 'lr * group["factor"]', "lr", ("training/test_images.py", "-k", "own_rate")),
    Bug("training/objectives/cross_entropy.py", "penalty * doubly_stochastic(", "0 * doubly_stochastic(", ("training/test_doubly_stochastic.py", "-k", "smaller")),
    Bug("training/objectives/self_critical.py", "(sources / samples)", "(1 / samples)", ("training/test_self_critical.py", "-k", "large_batch")),
    Bug("training/objectives/doubly_stochastic.py", "((1 - read_BS) * mask_BS)", "(1 - read_BS)", ("training/test_doubly_stochastic.py", "-k", "equation")),
    Bug("training/objectives/doubly_stochastic.py", "index_select(0, real_M)", "index_select(0, torch.arange(len(real_M)))", ("training/test_doubly_stochastic.py", "-k", "equation")),
    Bug("tasks/training.py", 'elif settings.model.encoder.kind == "image" and settings.model.encoder.frozen:', "elif False:", ("training/test_images.py", "-k", "resumed_run")),
    Bug("tasks/training.py", "if old is None or not resume.has_state(old):", "if old is None:", ("training/test_images.py", "-k", "resumed_run")),
    Bug("tasks/captioning_data.py", "(augmented and (train.max_crop or", "(False and (train.max_crop or", ("training/test_images.py", "-k", "nothing_varies")),
    Bug("cli/console.py", 'overflow="crop")', 'overflow="crop", end="")', ("cli/test_console.py", "-k", "line_of_its_own")),
    # the first hour of a user: names that are near, lines that fit, what is seen before anything is done
    Bug("near.py", "min(MOST, max(len(typed), len(other)) // SHARE)", "MOST", ("test_near.py", "-k", "near_spellings")),
    Bug("cli/output/progress_line.py", "if size(line) + len(GAP) + size(fact) > width:", "if size(line) > width:", ("cli/test_progress_line.py",)),
    Bug("cli/output/progress_line.py", "counted(done, None if clock.limit else total)", "counted(done, total)", ("cli/test_progress_line.py", "-k", "limit")),
    Bug("cli/console.py", "return self._last is None or ", "return self._last is not None and ", ("cli/test_console.py", "-k", "plain")),
    Bug("config/idle.py", "if mark.holds(value) or", "if not mark.holds(value) or", ("config/test_schema.py", "-k", "idle")),
    Bug("config/schema.py", "When(\"history\", \"fertility\")", "When(\"history\", \"coverage\")", ("config/test_schema.py", "-k", "conditions")),
    Bug("config/sizes.py", "return model.embedding if embeddings", "return model.embedding if not embeddings", ("config/test_sizes.py",)),
    Bug("config/files.py", 'if "kind" in value and value["kind"] != below', 'if False and value["kind"] != below', ("cli/test_preset_list.py", "-k", "another_kind")),
    Bug("tasks/training.py", "for event in events:  # the state is saved", "for event in ():", ("tasks/test_notebook.py", "-k", "within_an_update")),
    Bug("tasks/interrupts.py", "or signal.getsignal(signal.SIGINT) is not signal.default_int_handler", "", ("tasks/test_notebook.py", "-k", "left_in_place")),
    Bug("tasks/interrupts.py", "signal.signal(signal.SIGINT, signal.default_int_handler)", "pass", ("tasks/test_notebook.py", "-k", "within_an_update")),
    Bug("tasks/training.py", "self._events = self._until_end(events)\n        return self._events", "return self._until_end(events)", ("tasks/test_notebook.py", "-k", "callers_code")),
    Bug("config/typed.py", "return json.dumps(value, ensure_ascii=False)", "return str(value)", ("tasks/test_notebook.py", "-k", "may_be_a_dict")),
    Bug("tasks/training_checks.py", "if is_run(out) and not force and", "if False and", ("cli/test_mistaken.py", "-k", "torch")),
    # documentation
    Bug("config/schema.py", "Vocabulary size: number of tokens, special tokens included; auto", "Vocabulary size; auto", ("docs/test_generated.py", "-k", "up_to_date")),
    Bug("cli/glossary.py", "keeps the N best partial outputs", "keeps N partial outputs", ("docs/test_commands.py", "-k", "glossary")),
    Bug("cli/translate_options.py", '"--scores"', '"--score"', ("docs/test_commands.py", "-k", "parse")),
    Bug("attention/normalisers.py", 'SOFT = {"softmax": softmax,', 'SOFT = {"softmax": sigmoid,', ("docs/test_examples.py", "-k", "prints")),
    Bug("search/constraints.py", "self.longest = max(self.limit_B.tolist(), default=0)", "self.longest = 0", ("docs/test_examples.py", "-k", "prints")),
    # on a CUDA device
    Bug("devices.py", "return \"fp16\" if device.type == \"cuda\" and not is_emulated", "return \"fp16\" if False and not is_emulated", ("test_devices.py", "-k", "tensor_cores")),
    Bug("devices.py", "os.environ.setdefault(*WORKSPACE)", "", ("test_devices.py", "-k", "deterministic")),
    Bug("training/trainer.py", "loss += sums.loss.detach() / update.tokens", "loss += sums.loss.item() / update.tokens", ("cuda/test_on_device.py", "-k", "bf16")),
    Bug("training/batch_gradient.py", "objective, batch.to(self.device), seed)", "objective, batch, seed)", ("cuda/test_on_device.py", "-k", "bf16")),
    Bug("training/microbatches.py", 'result.each(Tensor.pin_memory) if device.type == "cuda" else result', "result", ("cuda/test_on_device.py", "-k", "bf16")),
    Bug("training/gradient_step.py", "self.scaler.scale(objective)", "self.scaler.scale(objective * 1.0)", ("cuda/test_on_device.py", "-k", "bf16")),
    Bug("search/beam.py", "token_R = token_BW.flatten()", "token_R = token_BW.flatten() + 0", ("cuda/test_on_device.py", "-k", "bf16")),
    Bug("attention/history.py", "torch.arange(steps, device=self.step.device)", "torch.arange(steps)", ("cuda/test_on_device.py", "-k", "searches")),
    Bug("attention/attention.py", "torch.rand(rows, device=like.device)", "torch.rand(rows, device=like.device, generator=torch.Generator())", ("cuda/test_on_device.py", "-k", "bf16")),
    Bug("kernels/fused_rnn.py", "enabled=False", "enabled=torch.is_autocast_enabled(x_BTI.device.type)", ("cuda/test_on_device.py", "-k", "kernels")),
    Bug("kernels/fused_rnn.py", "key=lambda number: -weights[number].dim()", "key=lambda number: weights[number].dim()", ("cuda/test_on_device.py", "-k", "kernels")),
    Bug("kernels/fused_rnn.py", "dtype), torch.is_grad_enabled()", "dtype), train", ("cuda/test_on_device.py", "-k", "kernels")),
    Bug("kernels/fused_rnn.py", "columns[KEEPS[gates]] = SHUT", "pass", ("cuda/test_on_device.py", "-k", "kernels")),
    Bug("kernels/fused_rnn.py", "columns[WRITES[gates]] = -SHUT", "pass", ("cuda/test_on_device.py", "-k", "kernels")),
    Bug("kernels/dot_product.py", "return product_dtype(x) if x.is_cuda else", "return", ("cuda/test_on_device.py", "-k", "kernels")),
    Bug("kernels/dot_product.py", "if group > 1 and mask is not None:", "if False:", ("cuda/test_on_device.py", "-k", "kernels")),
    Bug("kernels/linear_cross_entropy.py", "in_p = x_MD.is_cuda", "in_p = False", ("cuda/test_on_device.py", "-k", "kernels")),
    Bug("kernels/linear_cross_entropy.py", "p.gather(1, target) - target_weight", "p.gather(1, target) - 1", ("cuda/test_on_device.py", "-k", "kernels")),
    Bug("kernels/finished_test.py", "if not number.is_cuda:", "if True:", ("cuda/test_on_device.py", "-k", "kernels")),
    Bug("kernels/fused_rnn.py", "torch.arange(mask_BS.size(1), device=mask_BS.device)", "torch.arange(mask_BS.size(1))", ("cuda/test_on_device.py", "-k", "kernels")),
    Bug("search/constraints.py", "dtype=torch.long, device=device)", "dtype=torch.long)", ("cuda/test_on_device.py", "-k", "searches")),
    Bug("search/constraints.py", "limits.prefix_BP.to(device)", "limits.prefix_BP", ("cuda/test_on_device.py", "-k", "searches")),
    Bug("search/beam.py", "has_nan |= best_possible_B.isnan().any()", "has_nan |= bool(best_possible_B.isnan().any())", ("cuda/test_on_device.py", "-k", "bf16")),
    Bug("search/beam.py", "token_R = token_BW.flatten()", "token_R = token_BW.cpu().flatten().to(device)", ("cuda/test_on_device.py", "-k", "bf16")),
    Bug("inference/ensemble.py", "mean_weights.float().cpu()", "mean_weights.float()", ("cuda/test_on_device.py", "-k", "searches")),
    Bug("training/distributed.py", "dtype=torch.float64, device=self.device)", "dtype=torch.float64)", ("cuda/test_on_device.py", "-k", "two_processes")),
    Bug("evaluation/rewards.py", "return list(source)", "return list(source.cpu())", ("cuda/test_on_device.py", "-k", "searches")),
    Bug("evaluation/rewards.py", "tensor.pin_memory().to(device, non_blocking=True)", "tensor.to(device)", ("cuda/test_on_device.py", "-k", "searches")),
    # the machine
    Bug("shared_cores.py", "len(os.sched_getaffinity(0)) + 1", "1", ("test_shared_cores.py",)),
    Bug("shared_cores.py", "self._free_looks + 1 if waited", "self._free_looks if waited", ("test_shared_cores.py",)),
    Bug("shared_cores.py", "waited > CROWDED * elapsed", "waited > CROWDED", ("test_shared_cores.py",)),
    Bug("tasks/training.py", "if self.world.device.type == \"cpu\" else 1", "if self.world.device.type != \"cpu\" else 1", ("tasks/test_tasks.py",)),
)
# fmt: on


def copy_project(folder: Path) -> None:
    for name in ("seq2attn", "tests", "docs"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (ROOT / "pyproject.toml", ROOT / "zensical.toml", *ROOT.glob("*.md")):
        shutil.copy(path, folder / path.name)
    if (ROOT / "data").exists():
        (folder / "data").symlink_to(ROOT / "data")


def run(folder: Path, tests: tuple[str, ...]) -> int | None:
    """pytest's exit status, None when it ran out of time. Slow tests run where no others fail.

    Compiled files are neither written nor read: an edit within the same second would go unnoticed.
    """
    environment = os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    statuses = []
    for marks in ([], ["-m", "slow"]):
        try:
            status = subprocess.run(
                [*command, *marks],
                cwd=folder / "tests",
                env=environment,
                capture_output=True,
                timeout=LIMIT,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            return None
        if status not in (0, NO_TESTS):
            return status
        statuses.append(status)
    return min(statuses)  # passed, if any test ran


def origin(folder: Path) -> Path:
    """The package that a test in the folder imports: an installed one must not stand in for the copy."""
    code = "import seq2attn.errors; print(seq2attn.errors.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder / "tests",
        env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    return Path(done.stdout.strip()).parents[1]


def pattern(text: str) -> re.Pattern[str]:
    """The text, with any white space where the formatter may break a line, and any trailing comma before a
    bracket. White space at its two ends is literal: it tells an indented line from another.
    """
    body = text.strip()
    start, end = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
    parts = re.findall(r"\w+|\s+|[^\w\s]", body)
    regex = ""
    for before, part in zip(["", *parts], parts, strict=False):
        if part.isspace():
            regex += r"\s*"
        elif part in ")]}" and before != ",":
            regex += r"\s*,?\s*" + re.escape(part)
        elif before and before in "([{":
            regex += r"\s*" + re.escape(part)
        else:
            regex += re.escape(part)
    # between two words the white space is not optional
    regex = re.sub(r"(?<=\w)\\s\*(?=\w)", r"\\s+", regex)
    return re.compile(re.escape(start) + regex + re.escape(end))


def with_bug(clean: str, bug: Bug) -> str:
    """The file's text with the bug in it."""
    return pattern(bug.old).sub(lambda _: bug.new, clean, count=1)


def refusals(bugs: list[Bug]) -> list[str]:
    """Rows that do not fit the code any more."""
    wrong = []
    for bug in bugs:
        path = ROOT / "seq2attn" / bug.file
        if not path.is_file():
            wrong.append(f"{bug}: no such file")
            continue
        count = len(pattern(bug.old).findall(path.read_text(encoding="utf-8")))
        if count != 1:
            wrong.append(f"{bug}: the file holds the old text {count} times, not once")
        elif bug.old == bug.new:
            wrong.append(f"{bug}: the new text is the old one")
    return wrong


def in_a_copy(folders: "Queue[Path]", work: Callable[[Path], Result]) -> Result:
    """The result of the work in a copy of the project that nobody else uses meanwhile."""
    folder = folders.get()
    try:
        return work(folder)
    finally:
        folders.put(folder)


def run_with_bug(folder: Path, bug: Bug) -> tuple[int | None, float]:
    """pytest's exit status with the bug planted, and the seconds it took."""
    path = folder / "seq2attn" / bug.file
    clean = path.read_text(encoding="utf-8")
    path.write_text(with_bug(clean, bug), encoding="utf-8")
    start = time.monotonic()
    status = run(folder, bug.tests)
    path.write_text(clean, encoding="utf-8")
    return status, time.monotonic() - start


def main(words: list[str]) -> int:
    bugs = [bug for bug in BUGS if not words or any(word in str(bug) for word in words)]
    if wrong := refusals(bugs):
        print(*wrong, sep="\n", file=sys.stderr)
        return 2
    jobs = int(os.environ.get("JOBS", "1"))
    missed = 0
    with tempfile.TemporaryDirectory(prefix="seeded-bugs-") as name:
        folders: Queue[Path] = Queue()
        for number in range(jobs):
            folder = Path(name).resolve() / str(number)
            folder.mkdir()
            copy_project(folder)
            folders.put(folder)
        if origin(folder) != folder:
            print(f"the copy in {folder} is not what Python imports, but {origin(folder)}", file=sys.stderr)
            return 2
        with ThreadPoolExecutor(jobs) as pool:
            selections = sorted({bug.tests for bug in bugs})
            clean = pool.map(lambda tests: in_a_copy(folders, lambda copy: run(copy, tests)), selections)
            for tests, status in zip(selections, clean, strict=True):
                if status != 0:
                    print(f"without any bug, pytest {' '.join(tests)} exits {status}", file=sys.stderr)
                    return 2
            results = pool.map(lambda bug: in_a_copy(folders, lambda copy: run_with_bug(copy, bug)), bugs)
            for bug, (status, seconds) in zip(bugs, results, strict=True):
                verdict = VERDICTS.get(status, f"BROKEN (pytest exits {status})")
                missed += not verdict.startswith("caught")
                print(f"{verdict:15}{seconds:6.1f} s  {bug}", flush=True)
    print(f"{len(bugs) - missed} of {len(bugs)} bugs caught")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
