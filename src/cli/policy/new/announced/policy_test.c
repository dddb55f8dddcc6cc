/* The policy as a program of this machine: `sh rutter-policy/test`. What it does as a module,
 * `rutter policy test` shows. */

#undef NDEBUG
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "policy.h"
#include "text.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))

static policy_string_t string(const char *text) {
  return (policy_string_t){.ptr = (uint8_t *)text, .len = strlen(text)};
}

static rutter_policy_types_candidate_t address_of(uint32_t service) {
  rutter_policy_types_candidate_t candidate = {0};
  candidate.origin.tag = RUTTER_POLICY_TYPES_ORIGIN_SERVICE_ADDRESS;
  candidate.origin.val.service_address.service = service;
  return candidate;
}

static void a_service_without_the_label_is_not_announced(void) {
  policy_string_t strings[] = {string("shop"), string("quiet"), string("loud"),
                               string("announce"), string("true")};
  rutter_policy_types_service_label_t labels[] = {{.key = 3, .value = 4}};
  rutter_policy_types_service_t services[] = {
      {.namespace_ = 0, .name = 1},
      {.namespace_ = 0, .name = 2, .labels = {.first = 0, .count = 1}},
  };
  rutter_policy_types_candidate_t pod_cidr = {0};
  rutter_policy_types_candidate_t candidates[] = {pod_cidr, address_of(0), address_of(1)};
  exports_rutter_policy_announce_batch_t batch = {
      .settings = string("{\"label\":\"announce\"}"),
      .strings = {strings, LENGTH(strings)},
      .labels = {labels, LENGTH(labels)},
      .services = {services, LENGTH(services)},
      .candidates = {candidates, LENGTH(candidates)},
      .want_reasons = true,
  };
  exports_rutter_policy_announce_answer_t answer;
  policy_string_t error;
  assert(exports_rutter_policy_announce_evaluate(&batch, &answer, &error));
  assert(answer.decisions.len == LENGTH(candidates));
  const exports_rutter_policy_announce_decision_t *decisions = answer.decisions.ptr;
  assert(decisions[0].verdict.tag == EXPORTS_RUTTER_POLICY_ANNOUNCE_VERDICT_ABSTAIN);
  assert(decisions[1].verdict.tag == EXPORTS_RUTTER_POLICY_ANNOUNCE_VERDICT_REJECT);
  assert(text_is(answer.reasons.ptr[decisions[1].reason.val],
                 "shop/quiet is not labelled announce=true"));
  assert(decisions[2].verdict.tag == EXPORTS_RUTTER_POLICY_ANNOUNCE_VERDICT_ABSTAIN);
}

static void settings_that_make_no_sense_are_refused(void) {
  const char *const REFUSED[][2] = {
      {"{}", "label is empty: name the label that Services opt in with"},
      {"{\"label\":\"\"}", "label is empty: name the label that Services opt in with"},
      {"{\"label\":7}", "label is not a text"},
      {"{\"labels\":\"announce\"}", "unknown key `labels`, expected one of `label`"},
  };
  for (size_t i = 0; i < LENGTH(REFUSED); i++) {
    policy_string_t settings = string(REFUSED[i][0]), error;
    assert(!exports_rutter_policy_module_validate_settings(&settings, &error));
    assert(text_is(error, REFUSED[i][1]));
  }
}

int main(void) {
  a_service_without_the_label_is_not_announced();
  settings_that_make_no_sense_are_refused();
  puts("2 passed");
  return 0;
}
