/* Lets a Service's outer addresses be announced only where all of its ports are among those that
 * the operator allows. */

#include <stdlib.h>

#include "policy.h"
#include "settings.h"
#include "text.h"

/* Short names for what this file says often. */
typedef exports_rutter_policy_announce_batch_t batch_t;
typedef exports_rutter_policy_announce_decision_t decision_t;
typedef rutter_policy_types_candidate_t candidate_t;
typedef rutter_policy_types_service_t service_t;
typedef rutter_policy_types_service_port_t port_t;
typedef rutter_policy_types_service_address_t address_t;

/* One list of ports for each protocol, in the order of the contract's cases. */
enum { TCP, UDP, SCTP, PROTOCOLS };

static const char *const PROTOCOL_NAMES[PROTOCOLS] = {"tcp", "udp", "sctp"};

static bool read_settings(policy_string_t json, struct setting allowed[PROTOCOLS],
                          policy_string_t *error) {
  for (size_t i = 0; i < PROTOCOLS; i++) {
    allowed[i] = (struct setting){
        .key = PROTOCOL_NAMES[i], .kind = SETTING_NUMBERS, .least = 1, .most = 65535};
  }
  if (!settings_read(json, allowed, PROTOCOLS, error)) {
    return false;
  }
  if (allowed[TCP].count + allowed[UDP].count + allowed[SCTP].count == 0) {
    policy_string_dup(error, "no port is allowed: list some, as in {\"tcp\": [80, 443]}");
    return false;
  }
  return true;
}

void exports_rutter_policy_module_describe(exports_rutter_policy_module_description_t *said) {
  policy_string_set(&said->name, "allowed-ports");
  policy_string_set(&said->version, "0.1.0");
  policy_string_set(&said->summary, "Announces Services only if all of their ports are allowed");
  said->settings_schema.is_some = true;
  policy_string_set(&said->settings_schema.val,
#include "settings.schema.h"
  );
}

bool exports_rutter_policy_module_validate_settings(policy_string_t *settings,
                                                    policy_string_t *error) {
  struct setting allowed[PROTOCOLS];
  return read_settings(*settings, allowed, error);
}

static bool is_allowed(const port_t *port, const struct setting allowed[PROTOCOLS]) {
  if (port->protocol.tag >= PROTOCOLS) {
    return false;
  }
  const struct setting *setting = &allowed[port->protocol.tag];
  for (size_t i = 0; i < setting->count; i++) {
    if (setting->numbers[i] == port->port) {
      return true;
    }
  }
  return false;
}

/* The first port that is not allowed, or none. */
static const port_t *stranger(const batch_t *batch, const service_t *service,
                              const struct setting allowed[PROTOCOLS]) {
  for (uint32_t i = 0; i < service->ports.count; i++) {
    const port_t *port = &batch->ports.ptr[service->ports.first + i];
    if (!is_allowed(port, allowed)) {
      return port;
    }
  }
  return NULL;
}

static policy_string_t explain(const batch_t *batch, const service_t *service, const port_t *port) {
  struct text text = {0};
  text_add_string(&text, batch->strings.ptr[service->namespace_]);
  text_add(&text, "/");
  text_add_string(&text, batch->strings.ptr[service->name]);
  text_add(&text, " has port ");
  text_add_number(&text, port->port);
  text_add(&text, "/");
  if (port->protocol.tag < PROTOCOLS) {
    text_add(&text, PROTOCOL_NAMES[port->protocol.tag]);
  } else {
    text_add_string(&text, batch->strings.ptr[port->protocol.val.other]);
  }
  text_add(&text, ", which is not allowed");
  return text_done(&text);
}

/* The Service that a candidate is an outer address of, or none. */
static const service_t *exposed(const batch_t *batch, const candidate_t *candidate) {
  if (candidate->origin.tag != RUTTER_POLICY_TYPES_ORIGIN_SERVICE_ADDRESS) {
    return NULL;
  }
  const address_t *address = &candidate->origin.val.service_address;
  return address->kind == RUTTER_POLICY_TYPES_ADDRESS_KIND_CLUSTER_IP
             ? NULL
             : &batch->services.ptr[address->service];
}

bool exports_rutter_policy_announce_evaluate(batch_t *batch,
                                             exports_rutter_policy_announce_answer_t *answer,
                                             policy_string_t *error) {
  struct setting allowed[PROTOCOLS];
  if (!read_settings(batch->settings, allowed, error)) {
    return false;
  }
  size_t count = batch->candidates.len;
  decision_t *decisions = malloc(count * sizeof *decisions);
  policy_string_t *reasons = malloc(count * sizeof *reasons);
  size_t reason_count = 0;
  for (size_t i = 0; i < count; i++) {
    const service_t *service = exposed(batch, &batch->candidates.ptr[i]);
    const port_t *port = service != NULL ? stranger(batch, service, allowed) : NULL;
    decisions[i].reason.is_some = false;
    decisions[i].verdict.tag = EXPORTS_RUTTER_POLICY_ANNOUNCE_VERDICT_ABSTAIN;
    if (port != NULL) {
      decisions[i].verdict.tag = EXPORTS_RUTTER_POLICY_ANNOUNCE_VERDICT_REJECT;
      if (batch->want_reasons) {
        decisions[i].reason.is_some = true;
        decisions[i].reason.val = (uint32_t)reason_count;
        reasons[reason_count++] = explain(batch, service, port);
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
