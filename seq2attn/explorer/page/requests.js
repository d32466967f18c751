// Questions to an engine: after a pause in typing, the newest wins, and an answer that is known is not asked again.

const REMEMBERED = 60;

export class Requests {
  constructor(engine) {
    this.engine = engine;
    this.newest = new Map(); // by place: the question that counts there
    this.answers = new Map();
  }

  /** The answer to a request; null if the same place has meanwhile asked another. `place` is any name. */
  async ask(place, request, image = null) {
    const key = JSON.stringify(request), known = image ? null : this.answers.get(key);
    this.newest.get(place)?.abort();
    const controller = new AbortController();
    this.newest.set(place, controller);
    if (known) return known;
    try {
      const answer = await this.engine.explain(request, { signal: controller.signal, image });
      if (controller.signal.aborted) return null;
      if (!image) this.remember(key, answer);
      return answer;
    } catch (error) {
      if (controller.signal.aborted) return null;
      throw error;
    }
  }

  cancel(place) {
    this.newest.get(place)?.abort();
  }

  remember(key, answer) {
    this.answers.set(key, answer);
    if (this.answers.size > REMEMBERED) this.answers.delete(this.answers.keys().next().value);
  }
}
