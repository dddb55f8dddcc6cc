/* Rejects addresses of Services that do not ask to be announced, by a label. */

#include <stdlib.h>

#include "policy.h"
#include "settings.h"
#include "text.h"

/* Short names for what this file says often. */
typedef exports_rutter_policy_announce_batch_t batch_t;
typedef exports_rutter_policy_announce_decision_t decision_t;
typedef rutter_policy_types_candidate_t candidate_t;
typedef rutter_policy_types_service_t service_t;
typedef rutter_policy_types_service_label_t label_t;

static bool read_settings(policy_string_t json, policy_string_t *label, policy_string_t *error) {
  struct setting setting = {.key = "label", .kind = SETTING_TEXT};
  if (!settings_read(json, &setting, 1, error)) {
    return false;
  }
  if (setting.text.len == 0) {
    policy_string_dup(error, "label is empty: name the label that Services opt in with");
    return false;
  }
  *label = setting.text;
  return true;
}

void exports_rutter_policy_module_describe(exports_rutter_policy_module_description_t *said) {
  policy_string_set(&said->name, "NAME");
  policy_string_set(&said->version, "0.1.0");
  policy_string_set(&said->summary, "Announces the Services that ask for it");
  said->settings_schema.is_some = false;
}

bool exports_rutter_policy_module_validate_settings(policy_string_t *settings,
                                                    policy_string_t *error) {
  policy_string_t label;
  return read_settings(*settings, &label, error);
}

/* The Service that a candidate is an address of, or none. */
static const service_t *owner(const batch_t *batch, const candidate_t *candidate) {
  return candidate->origin.tag == RUTTER_POLICY_TYPES_ORIGIN_SERVICE_ADDRESS
             ? &batch->services.ptr[candidate->origin.val.service_address.service]
             : NULL;
}

/* Whether the Service has the label, and its value is "true". */
static bool opted_in(const batch_t *batch, const service_t *service, policy_string_t label) {
  for (uint32_t i = 0; i < service->labels.count; i++) {
    const label_t *own = &batch->labels.ptr[service->labels.first + i];
    if (text_same(batch->strings.ptr[own->key], label)) {
      return text_is(batch->strings.ptr[own->value], "true");
    }
  }
  return false;
}

static policy_string_t explain(const batch_t *batch, const service_t *service,
                               policy_string_t label) {
  struct text text = {0};
  text_add_string(&text, batch->strings.ptr[service->namespace_]);
  text_add(&text, "/");
  text_add_string(&text, batch->strings.ptr[service->name]);
  text_add(&text, " is not labelled ");
  text_add_string(&text, label);
  text_add(&text, "=true");
  return text_done(&text);
}

bool exports_rutter_policy_announce_evaluate(batch_t *batch,
                                             exports_rutter_policy_announce_answer_t *answer,
                                             policy_string_t *error) {
  policy_string_t label;
  if (!read_settings(batch->settings, &label, error)) {
    return false;
  }
  size_t count = batch->candidates.len;
  decision_t *decisions = malloc(count * sizeof *decisions);
  policy_string_t *reasons = malloc(count * sizeof *reasons);
  size_t reason_count = 0;
  for (size_t i = 0; i < count; i++) {
    const service_t *service = owner(batch, &batch->candidates.ptr[i]);
    decisions[i].reason.is_some = false;
    decisions[i].verdict.tag = EXPORTS_RUTTER_POLICY_ANNOUNCE_VERDICT_ABSTAIN;
    if (service != NULL && !opted_in(batch, service, label)) {
      decisions[i].verdict.tag = EXPORTS_RUTTER_POLICY_ANNOUNCE_VERDICT_REJECT;
      if (batch->want_reasons) {
        decisions[i].reason.is_some = true;
        decisions[i].reason.val = (uint32_t)reason_count;
        reasons[reason_count++] = explain(batch, service, label);
      }
    }
  }
  answer->decisions.ptr = decisions;
  answer->decisions.len = count;
  answer->attribute_sets.ptr = NULL;
  answer->attribute_sets.len = 0;
  answer->reasons.ptr = reasons;
  answer->reasons.len = reason_count;
  return true;
}
