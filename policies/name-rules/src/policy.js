// The policy as the agent sees it: the two interfaces that the world `policy` of ../../../wit
// exports, and nothing else. What is decided, and which settings there are, is in rules.js.
//
// Texts of Services are indexes into the batch's tables. What is thrown is the module's answer that
// it cannot: a text as it is, an Error by its message.

import { compile, decide } from "./rules.js";
import { SCHEMA } from "./schema.js";

export const module = {
  describe() {
    return {
      name: "name-rules",
      version: "0.1.0",
      summary:
        "Announces or keeps back Services by regular expressions over their names, labels and annotations",
      settingsSchema: JSON.stringify(SCHEMA),
    };
  },

  validateSettings(settings) {
    compile(JSON.parse(settings));
  },
};

export const announce = {
  evaluate(batch) {
    const rules = compile(JSON.parse(batch.settings));
    const reasons = new Reasons(batch.wantReasons);
    // Nothing but its Service decides about a candidate, and Services have several addresses.
    const known = new Map();
    const decisions = batch.candidates.map(({ origin }) => {
      if (origin.tag !== "service-address") {
        return ABSTAIN;
      }
      const index = origin.val.service;
      if (!known.has(index)) {
        known.set(index, answer(decide(rules, service(batch, index)), reasons));
      }
      return known.get(index);
    });
    return { decisions, attributeSets: [], reasons: reasons.texts };
  },
};

const ABSTAIN = { verdict: { tag: "abstain" }, reason: null };

// A decision of rules.js in the contract's words.
function answer(decision, reasons) {
  if (decision === null) {
    return ABSTAIN;
  }
  const { then, reason } = decision;
  // Accepted with the attributes it was proposed with.
  const verdict = then === "accept" ? { tag: then, val: null } : { tag: then };
  return { verdict, reason: reasons.index(reason) };
}

// The answer's table of reasons, each once.
class Reasons {
  texts = [];
  #indexes = new Map();
  #wanted;

  constructor(wanted) {
    this.#wanted = wanted;
  }

  index(text) {
    if (!this.#wanted) {
      return null;
    }
    if (!this.#indexes.has(text)) {
      this.#indexes.set(text, this.texts.length);
      this.texts.push(text);
    }
    return this.#indexes.get(text);
  }
}

// A Service with texts in place of indexes. Labels are looked up when a rule asks for one.
function service({ services, strings, labels }, index) {
  const { namespace, name, labels: own, annotations } = services[index];
  const lookUp = ({ first, count }) => (key) => {
    for (let i = first; i < first + count; i++) {
      if (strings[labels[i].key] === key) {
        return strings[labels[i].value];
      }
    }
    return undefined;
  };
  return {
    namespace: strings[namespace],
    name: strings[name],
    label: lookUp(own),
    annotation: lookUp(annotations),
  };
}
