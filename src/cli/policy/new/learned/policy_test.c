/* The policy as a program of this machine: `sh rutter-policy/test`. What it does as a module,
 * `rutter policy test` shows. */

#undef NDEBUG
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "policy.h"
#include "prefix.h"
#include "text.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))

static policy_string_t string(const char *text) {
  return (policy_string_t){.ptr = (uint8_t *)text, .len = strlen(text)};
}

static exports_rutter_policy_learn_learned_route_t route(const char *prefix) {
  exports_rutter_policy_learn_learned_route_t route = {0};
  assert(prefix_read(string(prefix), &route.prefix));
  return route;
}

static void a_route_inside_a_prefix_is_preferred_and_others_are_not_used(void) {
  rutter_policy_types_route_attributes_t received = {.med = {.is_some = true, .val = 10}};
  exports_rutter_policy_learn_learned_route_t routes[] = {
      route("10.20.0.0/16"), route("10.20.1.128/25"), route("192.0.2.0/24")};
  exports_rutter_policy_learn_batch_t batch = {
      .settings = string("{\"prefixes\":{\"10.0.0.0/8\":24},\"local-pref\":200}"),
      .attribute_sets = {&received, 1},
      .routes = {routes, LENGTH(routes)},
      .want_reasons = true,
  };
  exports_rutter_policy_learn_answer_t answer;
  policy_string_t error;
  assert(exports_rutter_policy_learn_evaluate(&batch, &answer, &error));
  assert(answer.decisions.len == LENGTH(routes));
  const exports_rutter_policy_learn_decision_t *decisions = answer.decisions.ptr;
  assert(decisions[0].verdict.tag == EXPORTS_RUTTER_POLICY_LEARN_VERDICT_ACCEPT);
  assert(text_is(answer.reasons.ptr[decisions[0].reason.val], "inside 10.0.0.0/8"));
  policy_option_u32_t set = decisions[0].verdict.val.accept.attributes;
  assert(set.is_some);
  const rutter_policy_types_route_attributes_t *used = &answer.attribute_sets.ptr[set.val];
  assert(used->local_pref.is_some && used->local_pref.val == 200);
  assert(used->med.is_some && used->med.val == 10);
  for (size_t i = 1; i < LENGTH(routes); i++) {
    assert(decisions[i].verdict.tag == EXPORTS_RUTTER_POLICY_LEARN_VERDICT_REJECT);
    assert(text_is(answer.reasons.ptr[decisions[i].reason.val],
                   "inside none of the prefixes, or too long"));
  }
}

static void settings_that_make_no_sense_are_refused(void) {
  const char *const REFUSED[][2] = {
      {"{}", "prefixes is empty: every route would be rejected"},
      {"{\"prefixes\":[]}", "prefixes is not a table of whole numbers from 0 to 128"},
      {"{\"prefixes\":{\"10.0.0.0/8\":7}}", "prefixes.10.0.0.0/8 is 7: write 8 to 32"},
      {"{\"prefixes\":{\"10.0.0.1/8\":24}}",
       "prefixes.10.0.0.1/8 is no prefix: write 192.0.2.0/24, without host bits"},
      {"{\"prefixes\":{\"10.0.0.0/8\":24},\"local-pref\":-1}",
       "local-pref is not a whole number from 0 to 4294967295"},
      {"{\"prefix\":{}}", "unknown key `prefix`, expected one of `prefixes`, `local-pref`"},
  };
  for (size_t i = 0; i < LENGTH(REFUSED); i++) {
    policy_string_t settings = string(REFUSED[i][0]), error;
    assert(!exports_rutter_policy_module_validate_settings(&settings, &error));
    assert(text_is(error, REFUSED[i][1]));
  }
}

int main(void) {
  a_route_inside_a_prefix_is_preferred_and_others_are_not_used();
  settings_that_make_no_sense_are_refused();
  puts("2 passed");
  return 0;
}
