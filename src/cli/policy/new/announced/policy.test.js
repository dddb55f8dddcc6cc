// The policy in plain JavaScript: `node --test`. What it does as a module, `rutter policy test`
// shows.

import assert from "node:assert/strict";
import { test } from "node:test";

import { announce, module } from "../src/policy.js";

test("a Service without the label is not announced", () => {
  const none = { first: 0, count: 0 };
  const address = (service) => ({ origin: { tag: "service-address", val: { service } } });
  const { decisions, reasons } = announce.evaluate({
    settings: JSON.stringify({ label: "announce" }),
    strings: ["shop", "quiet", "loud", "announce", "true"],
    labels: [{ key: 3, value: 4 }],
    services: [
      { namespace: 0, name: 1, labels: none },
      { namespace: 0, name: 2, labels: { first: 0, count: 1 } },
    ],
    candidates: [{ origin: { tag: "pod-cidr" } }, address(0), address(1)],
    wantReasons: true,
  });
  const verdicts = decisions.map(({ verdict }) => verdict.tag);
  assert.deepEqual(verdicts, ["abstain", "reject", "abstain"]);
  assert.equal(reasons[decisions[1].reason], "shop/quiet is not labelled announce=true");
});

test("settings that make no sense are refused", () => {
  for (const [settings, words] of [
    [{}, "label is missing: write a text"],
    [{ label: 7 }, "label is 7: write a text"],
    [{ label: "" }, "label is empty: name the label that Services opt in with"],
    [{ labels: "announce" }, "unknown setting `labels`, expected `label`"],
  ]) {
    assert.throws(() => module.validateSettings(JSON.stringify(settings)), (error) => error === words);
  }
});
