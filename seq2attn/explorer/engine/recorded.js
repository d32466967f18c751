// An engine of answers that stand in the page: it knows these texts alone, and changes nothing.

import { PARTS } from "./interface.js";

export class RecordedEngine {
  /** `answers` are those of POST /explain. */
  constructor(answers) {
    this.answers = answers;
    this.changes = false;
    this.texts = [...new Set(answers.map((answer) => answer.source.text))];
    this.parts = PARTS.filter((part) => answers.some((answer) => answer[part]));
  }

  async runs() {
    const byName = new Map(this.answers.map((answer) => [answer.run, answer]));
    return [...byName].map(([name, { kind, languages, attention }]) => ({
      name,
      kind: "text",
      model: kind,
      languages,
      attends: attention !== null,
    }));
  }

  async explain(request) {
    const answer = this.answers.find(({ run, source }) => run === (request.run ?? run) && source.text === request.text);
    if (!answer) throw new Error("text: this page has no answer for it; choose one of its own texts");
    return answer;
  }
}
