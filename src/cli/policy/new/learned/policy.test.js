// The policy in plain JavaScript: `node --test`. What it does as a module, `rutter policy test`
// shows.

import assert from "node:assert/strict";
import { test } from "node:test";

import { learn, module } from "../src/policy.js";
import { parse } from "../src/prefix.js";

test("a route inside a prefix is preferred, and others are not used", () => {
  const routes = ["10.20.0.0/16", "10.20.1.128/25", "192.0.2.0/24"];
  const { decisions, attributeSets, reasons } = learn.evaluate({
    settings: JSON.stringify({ prefixes: { "10.0.0.0/8": 24 }, "local-pref": 200 }),
    attributeSets: [{ med: 10, localPref: null, extendedCommunities: [] }],
    routes: routes.map((prefix) => ({ prefix: parse(prefix), attributes: 0 })),
    wantReasons: true,
  });
  const [{ verdict }] = decisions;
  assert.equal(verdict.tag, "accept");
  const used = attributeSets[verdict.val.attributes];
  assert.deepEqual(used, { med: 10, localPref: 200, extendedCommunities: [] });
  assert.deepEqual(
    decisions.map(({ reason }) => reasons[reason]),
    [
      "inside 10.0.0.0/8",
      "inside none of the prefixes, or too long",
      "inside none of the prefixes, or too long",
    ],
  );
});

test("settings that make no sense are refused", () => {
  for (const [settings, words] of [
    [{}, "prefixes is missing: write a table of prefixes, each with the longest length taken inside"],
    [{ prefixes: {} }, "prefixes is empty: every route would be rejected"],
    [{ prefixes: { "10.0.0.0/8": 7 } }, "prefixes.10.0.0.0/8 is 7: write 8 to 32"],
    [
      { prefixes: { "10.0.0.1/8": 24 } },
      "prefixes.10.0.0.1/8 is no prefix: write 192.0.2.0/24, without host bits",
    ],
    [
      { prefixes: { "10.0.0.0/8": 24 }, "local-pref": -1 },
      "local-pref is -1: write 0 to 4294967295",
    ],
    [{ prefix: {} }, "unknown setting `prefix`, expected `prefixes` or `local-pref`"],
  ]) {
    assert.throws(() => module.validateSettings(JSON.stringify(settings)), (error) => error === words);
  }
});
