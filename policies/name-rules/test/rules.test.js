// The rules as they are in rules.js, and the whole policy in plain JavaScript. Run with
// `node --test`. The compiled module is asked by tests/it/policies.rs and by cases/.

import assert from "node:assert/strict";
import { test } from "node:test";

import { announce, module } from "../src/policy.js";
import { compile, decide } from "../src/rules.js";
import { SCHEMA } from "../src/schema.js";

function service(name, { labels = {}, annotations = {} } = {}) {
  const [namespace, own] = name.split("/");
  return {
    namespace,
    name: own,
    label: (key) => labels[key],
    annotation: (key) => annotations[key],
  };
}

const says = (rules, asked) => decide(compile({ rules }), asked);

// What `compile` throws.
function refusal(settings) {
  try {
    compile(settings);
  } catch (error) {
    return error;
  }
  return null;
}

test("the first rule that matches decides", () => {
  const rules = [
    { name: "-canary$", then: "reject", reason: "canaries stay inside" },
    { namespace: "^prod-", then: "accept" },
    { name: "", then: "reject" },
  ];
  const canary = service("prod-eu/web-canary");
  assert.deepEqual(says(rules, canary), { then: "reject", reason: "canaries stay inside" });
  const web = service("prod-eu/web");
  assert.deepEqual(says(rules, web), { then: "accept", reason: "rules[1] matches" });
  const test = service("test/web");
  assert.deepEqual(says(rules, test), { then: "reject", reason: "rules[2] matches" });
});

test("a Service that no rule matches is left to others", () => {
  assert.equal(says([{ name: "^api$", then: "reject" }], service("shop/web")), null);
});

test("all patterns of a rule have to match", () => {
  const rules = [{ namespace: "^shop$", labels: { tier: "^(gold|silver)$" }, then: "accept" }];
  const gold = { labels: { tier: "gold" } };
  assert.equal(says(rules, service("shop/web", gold)).then, "accept");
  assert.equal(says(rules, service("bank/web", gold)), null);
  assert.equal(says(rules, service("shop/web", { labels: { tier: "golden" } })), null);
});

test("a label or annotation that is absent matches nothing, and one that is empty can match", () => {
  for (const key of ["labels", "annotations"]) {
    const rules = [{ [key]: { "example.com/x": "" }, then: "reject" }];
    assert.equal(says(rules, service("shop/web")), null);
    const marked = service("shop/web", { [key]: { "example.com/x": "" } });
    assert.equal(says(rules, marked).then, "reject");
  }
});

test("a pattern gives the same answer each time", () => {
  const rules = compile({ rules: [{ name: "a", then: "accept" }] });
  for (let i = 0; i < 3; i++) {
    assert.equal(decide(rules, service("shop/aaa")).then, "accept");
  }
});

test("settings that make no sense are refused in words for the operator", () => {
  const rule = (fields) => ({ rules: [{ name: "a", then: "accept", ...fields }] });
  for (const [settings, words] of [
    [{}, "rules is missing: nothing would be decided"],
    [{ rules: [] }, "rules is empty: nothing would be decided"],
    [{ rules: "a" }, 'rules is "a": write a list'],
    [{ rulez: [] }, "unknown setting `rulez`, expected `rules`"],
    [{ rules: [7] }, "rules[0] is 7: write a table"],
    [
      { rules: [{ then: "accept" }] },
      'rules[0] has no pattern: write namespace, name, labels or annotations; name = "" matches every Service',
    ],
    [rule({ then: "drop" }), 'rules[0].then is "drop": write accept, reject or abstain'],
    [{ rules: [{ name: "a" }] }, "rules[0].then is missing: write accept, reject or abstain"],
    [rule({ name: 7 }), "rules[0].name is 7: write a regular expression as text"],
    [rule({ labels: ["a"] }), 'rules[0].labels is ["a"]: write a table'],
    [rule({ labels: { a: null } }), "rules[0].labels.a is null: write a regular expression as text"],
    [rule({ reason: "" }), 'rules[0].reason is "": write a sentence, or leave it out'],
    [rule({ reason: "x".repeat(257) }), "rules[0].reason is 257 characters long: at most 256"],
    [
      rule({ nmae: "a" }),
      "rules[0]: unknown setting `nmae`, expected `namespace`, `name`, `labels`, `annotations`, `then`, `reason`",
    ],
  ]) {
    assert.equal(refusal(settings), words);
  }
  for (const pattern of ["(", "[a", "a**", "\\_"]) {
    // The rest is the engine's, and engines differ.
    assert.match(refusal(rule({ name: pattern })), /^rules\[0\]\.name is no regular expression: ./);
  }
});

test("the schema has the settings that are known, and no others", () => {
  const expected = (settings) => refusal(settings).match(/(?<=`)\w+(?=`(,|$))/g);
  assert.deepEqual(expected({ "?": 0 }), Object.keys(SCHEMA.properties));
  const rule = SCHEMA.properties.rules.items.properties;
  assert.deepEqual(expected({ rules: [{ "?": 0 }] }), Object.keys(rule));
  assert.deepEqual(JSON.parse(module.describe().settingsSchema), SCHEMA);
});

// A batch as the agent gives it, of what this policy reads.
function batch(wantReasons) {
  const origin = (service) => ({ tag: "service-address", val: { service, kind: "external-ip" } });
  return {
    settings: JSON.stringify({
      rules: [
        { labels: { tier: "^gold$" }, then: "accept" },
        { annotations: { tier: "^gold$" }, then: "reject" },
      ],
    }),
    strings: ["shop", "web", "api", "tier", "gold"],
    labels: [{ key: 3, value: 4 }],
    services: [
      { namespace: 0, name: 1, labels: { first: 0, count: 1 }, annotations: { first: 1, count: 0 } },
      { namespace: 0, name: 2, labels: { first: 1, count: 0 }, annotations: { first: 0, count: 1 } },
    ],
    candidates: [{ origin: { tag: "pod-cidr" } }, ...[1, 0, 1].map((s) => ({ origin: origin(s) }))],
    wantReasons,
  };
}

test("labels and annotations are found by their spans, and each reason is given once", () => {
  const { decisions, attributeSets, reasons } = announce.evaluate(batch(true));
  const rejected = { verdict: { tag: "reject" }, reason: 0 };
  const accepted = { verdict: { tag: "accept", val: null }, reason: 1 };
  const abstained = { verdict: { tag: "abstain" }, reason: null };
  assert.deepEqual(decisions, [abstained, rejected, accepted, rejected]);
  assert.deepEqual(reasons, ["rules[1] matches", "rules[0] matches"]);
  assert.deepEqual(attributeSets, []);
});

test("without reasons the decisions are the same", () => {
  const silent = announce.evaluate(batch(false));
  const told = announce.evaluate(batch(true));
  assert.deepEqual(silent.reasons, []);
  const verdicts = ({ decisions }) => decisions.map(({ verdict }) => verdict);
  assert.deepEqual(verdicts(silent), verdicts(told));
});
