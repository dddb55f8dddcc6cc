// Takes routes of peers inside known prefixes, up to a length, and rejects all others.
//
// `module` and `learn` are what the world `import-policy` of rutter-policy/wit/ exports; every record
// and field is described there, under names in kebab case. What is thrown is the answer to the
// operator: a text as it is, an Error by its message.

import { bits, covers, parse } from "./prefix.js";

export const module = {
  describe() {
    return {
      name: "NAME",
      version: "0.1.0",
      summary: "Takes routes of peers inside known prefixes",
      settingsSchema: null,
    };
  },

  validateSettings(settings) {
    read(settings);
  },
};

export const learn = {
  evaluate(batch) {
    const { ranges, localPref } = read(batch.settings);
    const reasons = [];
    const answer = (verdict, reason) => ({
      verdict,
      reason: batch.wantReasons ? reasons.push(reason) - 1 : null,
    });
    const decisions = batch.routes.map(({ prefix, attributes }) => {
      const takes = (range) => covers(range, prefix) && prefix.length <= range.longest;
      const range = ranges.find(takes);
      if (range === undefined) {
        return answer(REJECT, "inside none of the prefixes, or too long");
      }
      if (localPref === null) {
        return answer(accept(null), `inside ${range.written}`);
      }
      if (!isExact(batch.attributeSets[attributes])) {
        return answer(REJECT, "it has an extended community that JavaScript cannot carry");
      }
      return answer(accept(attributes), `inside ${range.written}`);
    });
    // The batch's, under the same indexes. A number of 32 bits is one with a sign to the engine.
    const preferred = (set) => (isExact(set) ? { ...set, localPref: localPref | 0 } : UNUSED);
    const attributeSets = localPref === null ? [] : batch.attributeSets.map(preferred);
    return { decisions, attributeSets, reasons };
  },
};

const REJECT = { tag: "reject" };
const accept = (attributes) => ({ tag: "accept", val: { attributes, installation: null } });

// In place of attributes that no decision names.
const UNUSED = {
  med: null,
  localPref: null,
  prepend: 0,
  nextHop: null,
  communities: [],
  largeCommunities: [],
  extendedCommunities: [],
  linkBandwidth: null,
};

// Whether the attributes can be handed on: numbers of 64 bits are exact to 2^53 only.
function isExact({ extendedCommunities }) {
  return extendedCommunities.every((number) => number >= 0 && Number.isSafeInteger(number));
}

// What the settings say.
function read(settings) {
  const { prefixes, "local-pref": localPref = null, ...unknown } = JSON.parse(settings);
  for (const key of Object.keys(unknown)) {
    throw `unknown setting \`${key}\`, expected \`prefixes\` or \`local-pref\``;
  }
  if (typeof prefixes !== "object" || Array.isArray(prefixes)) {
    const shown = prefixes === undefined ? "missing" : JSON.stringify(prefixes);
    throw `prefixes is ${shown}: write a table of prefixes, each with the longest length taken inside`;
  }
  const ranges = Object.entries(prefixes).map(readRange);
  if (ranges.length === 0) {
    throw "prefixes is empty: every route would be rejected";
  }
  if (localPref !== null && !isWhole(localPref, 0, 2 ** 32 - 1)) {
    throw `local-pref is ${JSON.stringify(localPref)}: write 0 to 4294967295`;
  }
  return { ranges, localPref };
}

// A prefix, and the length of the longest route that is taken inside it.
function readRange([written, longest]) {
  const prefix = parse(written);
  if (prefix === null) {
    throw `prefixes.${written} is no prefix: write 192.0.2.0/24, without host bits`;
  }
  const most = bits(prefix.address);
  if (!isWhole(longest, prefix.length, most)) {
    throw `prefixes.${written} is ${JSON.stringify(longest)}: write ${prefix.length} to ${most}`;
  }
  return { ...prefix, written, longest };
}

function isWhole(number, least, most) {
  return Number.isInteger(number) && number >= least && number <= most;
}
