// Rejects addresses of Services that do not ask to be announced, by a label.
//
// `module` and `announce` are what the world `policy` of rutter-policy/wit/ exports; every record
// and field is described there, under names in kebab case. What is thrown is the answer to the
// operator: a text as it is, an Error by its message.

export const module = {
  describe() {
    return {
      name: "NAME",
      version: "0.1.0",
      summary: "Announces the Services that ask for it",
      settingsSchema: null,
    };
  },

  validateSettings(settings) {
    read(settings);
  },
};

export const announce = {
  evaluate(batch) {
    const label = read(batch.settings);
    const reasons = [];
    const decisions = batch.candidates.map(({ origin }) => {
      if (origin.tag !== "service-address") {
        return ABSTAIN;
      }
      const service = batch.services[origin.val.service];
      if (valueOf(batch, service.labels, label) === "true") {
        return ABSTAIN;
      }
      if (!batch.wantReasons) {
        return { verdict: REJECT, reason: null };
      }
      const namespace = batch.strings[service.namespace];
      const name = batch.strings[service.name];
      reasons.push(`${namespace}/${name} is not labelled ${label}=true`);
      return { verdict: REJECT, reason: reasons.length - 1 };
    });
    return { decisions, attributeSets: [], reasons };
  },
};

const ABSTAIN = { verdict: { tag: "abstain" }, reason: null };
const REJECT = { tag: "reject" };

// The label that the settings name.
function read(settings) {
  const { label, ...unknown } = JSON.parse(settings);
  for (const key of Object.keys(unknown)) {
    throw `unknown setting \`${key}\`, expected \`label\``;
  }
  if (typeof label !== "string") {
    throw `label is ${label === undefined ? "missing" : JSON.stringify(label)}: write a text`;
  }
  if (label === "") {
    throw "label is empty: name the label that Services opt in with";
  }
  return label;
}

// The value of a label in a Service's span of the batch's table, or undefined.
function valueOf({ strings, labels }, { first, count }, key) {
  const own = labels.slice(first, first + count).find((label) => strings[label.key] === key);
  return own === undefined ? undefined : strings[own.value];
}
