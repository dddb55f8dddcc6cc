// The rules: checked and made ready by `compile`, asked by `decide`. Knows nothing of
// WebAssembly, so that `node --test` tests it as it is.

// What a rule may say about a Service that it matches.
const ACTIONS = ["accept", "reject", "abstain"];

// Longest reason of an operator, in UTF-16 units: at most 1024 octets, which is the contract's
// limit.
const REASON_LENGTH_MAX = 256;

// Makes settings into rules. Throws a text for the operator that names the key, the value and
// what would be right.
export function compile(settings) {
  known("", settings, ["rules"]);
  if (settings.rules === undefined) {
    throw "rules is missing: nothing would be decided";
  }
  list("rules", settings.rules);
  if (settings.rules.length === 0) {
    throw "rules is empty: nothing would be decided";
  }
  return settings.rules.map(compileRule);
}

// What the first rule that matches says about a Service, or null where none does. A Service is
// { namespace, name, label(key), annotation(key) }, the last two undefined for a key it lacks.
export function decide(rules, service) {
  const rule = rules.find(({ patterns }) => patterns.every((matches) => matches(service)));
  return rule === undefined ? null : { then: rule.then, reason: rule.reason };
}

function compileRule(rule, index) {
  const at = `rules[${index}]`;
  table(at, rule);
  known(`${at}: `, rule, ["namespace", "name", "labels", "annotations", "then", "reason"]);
  const patterns = [
    ...texts(at, rule, "namespace"),
    ...texts(at, rule, "name"),
    ...values(at, rule, "labels", (service, key) => service.label(key)),
    ...values(at, rule, "annotations", (service, key) => service.annotation(key)),
  ];
  if (patterns.length === 0) {
    throw `${at} has no pattern: write namespace, name, labels or annotations; name = "" matches every Service`;
  }
  if (!ACTIONS.includes(rule.then)) {
    throw `${at}.then is ${show(rule.then)}: write accept, reject or abstain`;
  }
  return { patterns, then: rule.then, reason: reason(`${at}.reason`, rule.reason, at) };
}

// The test of a pattern over the Service's namespace or name; none where there is no such key.
function texts(at, rule, key) {
  if (rule[key] === undefined) {
    return [];
  }
  const pattern = regularExpression(`${at}.${key}`, rule[key]);
  return [(service) => pattern.test(service[key])];
}

// A test for each label or annotation that the rule names. One that is absent does not match.
function values(at, rule, key, lookUp) {
  if (rule[key] === undefined) {
    return [];
  }
  table(`${at}.${key}`, rule[key]);
  return Object.entries(rule[key]).map(([name, text]) => {
    const pattern = regularExpression(`${at}.${key}.${name}`, text);
    return (service) => {
      const value = lookUp(service, name);
      return value !== undefined && pattern.test(value);
    };
  });
}

// Without the flags `g` and `y`, whose expressions remember where they stopped. With `u`, which
// makes an escape that means nothing an error.
function regularExpression(at, text) {
  if (typeof text !== "string") {
    throw `${at} is ${show(text)}: write a regular expression as text`;
  }
  try {
    return new RegExp(text, "u");
  } catch (error) {
    throw `${at} is no regular expression: ${error.message}`;
  }
}

function reason(at, text, rule) {
  if (text === undefined) {
    return `${rule} matches`;
  }
  if (typeof text !== "string" || text === "") {
    throw `${at} is ${show(text)}: write a sentence, or leave it out`;
  }
  if (text.length > REASON_LENGTH_MAX) {
    throw `${at} is ${text.length} characters long: at most ${REASON_LENGTH_MAX}`;
  }
  return text;
}

// Refuses keys that mean nothing: one that is misspelt must not be passed over.
function known(at, object, keys) {
  const unknown = Object.keys(object).find((key) => !keys.includes(key));
  if (unknown !== undefined) {
    throw `${at}unknown setting \`${unknown}\`, expected ${keys.map((key) => `\`${key}\``).join(", ")}`;
  }
}

function table(at, value) {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw `${at} is ${show(value)}: write a table`;
  }
}

function list(at, value) {
  if (!Array.isArray(value)) {
    throw `${at} is ${show(value)}: write a list`;
  }
}

function show(value) {
  return value === undefined ? "missing" : JSON.stringify(value);
}
