// What the operator may set, as a JSON Schema, for tools. `compile` in rules.js is what checks.

const PATTERN = { type: "string", format: "regex" };
const PATTERNS = { type: "object", additionalProperties: PATTERN };

export const SCHEMA = {
  type: "object",
  additionalProperties: false,
  required: ["rules"],
  properties: {
    rules: {
      description: "The first rule that matches a Service decides; with none the policy abstains.",
      type: "array",
      minItems: 1,
      items: {
        type: "object",
        additionalProperties: false,
        required: ["then"],
        anyOf: ["namespace", "name", "labels", "annotations"].map((key) => ({ required: [key] })),
        properties: {
          namespace: PATTERN,
          name: PATTERN,
          labels: PATTERNS,
          annotations: PATTERNS,
          then: { enum: ["accept", "reject", "abstain"] },
          reason: { type: "string", minLength: 1, maxLength: 256 },
        },
      },
    },
  },
};
