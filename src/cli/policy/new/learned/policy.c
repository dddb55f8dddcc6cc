/* Takes routes of peers inside known prefixes, up to a length, and rejects all others. */

#include <stdlib.h>

#include "policy.h"
#include "prefix.h"
#include "settings.h"
#include "text.h"

/* Short names for what this file says often. */
typedef exports_rutter_policy_learn_batch_t batch_t;
typedef exports_rutter_policy_learn_decision_t decision_t;
typedef rutter_policy_types_prefix_t prefix_t;
typedef rutter_policy_types_route_attributes_t attributes_t;

/* A prefix, and the length of the longest route that is taken inside it. */
struct range {
  policy_string_t written;
  prefix_t prefix;
  uint32_t longest;
};

struct rule {
  struct range *ranges;
  size_t count;
  /* What is taken is used with it; as it came where absent. */
  policy_option_u32_t local_pref;
};

/* Reads an entry of `prefixes`: the range has its text and number already. */
static bool read_range(struct range *range, policy_string_t *error) {
  struct text text = {0};
  text_add(&text, "prefixes.");
  text_add_string(&text, range->written);
  if (!prefix_read(range->written, &range->prefix)) {
    text_add(&text, " is no prefix: write 192.0.2.0/24, without host bits");
    *error = text_done(&text);
    return false;
  }
  uint8_t least = range->prefix.length, most = prefix_bits(&range->prefix);
  if (range->longest < least || range->longest > most) {
    text_add(&text, " is ");
    text_add_number(&text, range->longest);
    text_add(&text, ": write ");
    text_add_number(&text, least);
    text_add(&text, " to ");
    text_add_number(&text, most);
    *error = text_done(&text);
    return false;
  }
  return true;
}

static bool read_settings(policy_string_t json, struct rule *rule, policy_string_t *error) {
  enum { PREFIXES, LOCAL_PREF, SETTINGS };
  struct setting settings[SETTINGS] = {
      [PREFIXES] = {.key = "prefixes", .kind = SETTING_TABLE, .most = 128},
      [LOCAL_PREF] = {.key = "local-pref", .kind = SETTING_NUMBER, .most = UINT32_MAX},
  };
  if (!settings_read(json, settings, SETTINGS, error)) {
    return false;
  }
  const struct setting *prefixes = &settings[PREFIXES];
  if (prefixes->count == 0) {
    policy_string_dup(error, "prefixes is empty: every route would be rejected");
    return false;
  }
  rule->count = prefixes->count;
  rule->ranges = malloc(rule->count * sizeof *rule->ranges);
  for (size_t i = 0; i < rule->count; i++) {
    rule->ranges[i].written = prefixes->keys[i];
    rule->ranges[i].longest = prefixes->numbers[i];
    if (!read_range(&rule->ranges[i], error)) {
      return false;
    }
  }
  rule->local_pref.is_some = settings[LOCAL_PREF].count > 0;
  if (rule->local_pref.is_some) {
    rule->local_pref.val = settings[LOCAL_PREF].numbers[0];
  }
  return true;
}

void exports_rutter_policy_module_describe(exports_rutter_policy_module_description_t *said) {
  policy_string_set(&said->name, "NAME");
  policy_string_set(&said->version, "0.1.0");
  policy_string_set(&said->summary, "Takes routes of peers inside known prefixes");
  said->settings_schema.is_some = false;
}

bool exports_rutter_policy_module_validate_settings(policy_string_t *settings,
                                                    policy_string_t *error) {
  struct rule rule;
  return read_settings(*settings, &rule, error);
}

/* The range that takes a route, or none. */
static const struct range *taker(const struct rule *rule, const prefix_t *prefix) {
  for (size_t i = 0; i < rule->count; i++) {
    const struct range *range = &rule->ranges[i];
    if (prefix_covers(&range->prefix, prefix) && prefix->length <= range->longest) {
      return range;
    }
  }
  return NULL;
}

static policy_string_t explain(const struct range *range) {
  struct text text = {0};
  if (range == NULL) {
    text_add(&text, "inside none of the prefixes, or too long");
  } else {
    text_add(&text, "inside ");
    text_add_string(&text, range->written);
  }
  return text_done(&text);
}

bool exports_rutter_policy_learn_evaluate(batch_t *batch,
                                          exports_rutter_policy_learn_answer_t *answer,
                                          policy_string_t *error) {
  struct rule rule;
  if (!read_settings(batch->settings, &rule, error)) {
    return false;
  }
  /* The answer's attribute sets are the batch's, under the same indexes, but for the preference. */
  size_t set_count = rule.local_pref.is_some ? batch->attribute_sets.len : 0;
  attributes_t *sets = malloc(set_count * sizeof *sets);
  for (size_t i = 0; i < set_count; i++) {
    sets[i] = batch->attribute_sets.ptr[i];
    sets[i].local_pref = rule.local_pref;
  }
  size_t count = batch->routes.len;
  decision_t *decisions = malloc(count * sizeof *decisions);
  policy_string_t *reasons = malloc(count * sizeof *reasons);
  for (size_t i = 0; i < count; i++) {
    const struct range *range = taker(&rule, &batch->routes.ptr[i].prefix);
    decisions[i] = (decision_t){.verdict.tag = EXPORTS_RUTTER_POLICY_LEARN_VERDICT_REJECT};
    if (range != NULL) {
      decisions[i].verdict.tag = EXPORTS_RUTTER_POLICY_LEARN_VERDICT_ACCEPT;
      decisions[i].verdict.val.accept.attributes.is_some = rule.local_pref.is_some;
      decisions[i].verdict.val.accept.attributes.val = batch->routes.ptr[i].attributes;
    }
    if (batch->want_reasons) {
      decisions[i].reason.is_some = true;
      decisions[i].reason.val = (uint32_t)i;
      reasons[i] = explain(range);
    }
  }
  answer->decisions.ptr = decisions;
  answer->decisions.len = count;
  answer->attribute_sets.ptr = sets;
  answer->attribute_sets.len = set_count;
  answer->reasons.ptr = reasons;
  answer->reasons.len = batch->want_reasons ? count : 0;
  return true;
}
