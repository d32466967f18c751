// An engine of answers that stand in the page: it knows these texts alone, and changes nothing.

import { PARTS } from "./interface.js";

const key = (answer) => answer.label ?? answer.source.text;

export class RecordedEngine {
  /** `answers` are those of POST /explain. `about` may have the page's title, and the view that it begins with. */
  constructor(answers, about = {}) {
    this.answers = answers;
    this.changes = false;
    this.texts = [...new Set(answers.map(key))];
    this.parts = PARTS.filter((part) => answers.some((answer) => answer[part]));
    this.hasLinks = answers.some((answer) => answer.links);
    this.title = about.title ?? null;
    this.view = { confidence: this.parts.includes("confidence"), ...about.view };
  }

  async runs() {
    const byName = new Map(this.answers.map((answer) => [answer.run, answer]));
    return [...byName].map(([name, { kind, languages, attention, source }]) => ({
      name,
      kind: source.fit ? "images" : "text",
      model: kind,
      languages,
      attends: attention !== null,
    }));
  }

  async explain(request) {
    const answer = this.answers.find((one) => one.run === (request.run ?? one.run) && key(one) === request.text);
    if (!answer) throw new Error("text: this page has no answer for it; choose one of its own texts");
    return answer;
  }
}
