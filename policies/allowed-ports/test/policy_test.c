/* The policy as a program of this machine; tests/it/policies.rs runs it. What it does as a module,
 * cases/ shows. */

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

static rutter_policy_types_service_port_t port(uint16_t number, uint8_t protocol) {
  return (rutter_policy_types_service_port_t){.port = number, .protocol = {.tag = protocol}};
}

/* The reason why an address of a Service with this one port is rejected, or an empty text. */
static policy_string_t objection(rutter_policy_types_service_port_t port,
                                 rutter_policy_types_address_kind_t kind) {
  policy_string_t strings[] = {string("shop"), string("web"), string("QUIC")};
  rutter_policy_types_service_t service = {
      .namespace_ = 0, .name = 1, .ports = {.first = 0, .count = 1}};
  rutter_policy_types_candidate_t candidate = {0};
  candidate.origin.tag = RUTTER_POLICY_TYPES_ORIGIN_SERVICE_ADDRESS;
  candidate.origin.val.service_address.kind = kind;
  exports_rutter_policy_announce_batch_t batch = {
      .settings = string("{\"tcp\":[80,443],\"udp\":[53]}"),
      .strings = {strings, LENGTH(strings)},
      .ports = {&port, 1},
      .services = {&service, 1},
      .candidates = {&candidate, 1},
      .want_reasons = true,
  };
  exports_rutter_policy_announce_answer_t answer;
  policy_string_t error;
  assert(exports_rutter_policy_announce_evaluate(&batch, &answer, &error));
  assert(answer.decisions.len == 1);
  bool rejected =
      answer.decisions.ptr[0].verdict.tag == EXPORTS_RUTTER_POLICY_ANNOUNCE_VERDICT_REJECT;
  assert(rejected == (answer.reasons.len == 1));
  return rejected ? answer.reasons.ptr[0] : string("");
}

static void only_the_ports_of_its_protocol_are_allowed(void) {
  const uint8_t outer = RUTTER_POLICY_TYPES_ADDRESS_KIND_LOAD_BALANCER_IP;
  const uint8_t tcp = RUTTER_POLICY_TYPES_PROTOCOL_TCP, udp = RUTTER_POLICY_TYPES_PROTOCOL_UDP;
  assert(text_is(objection(port(443, tcp), outer), ""));
  assert(text_is(objection(port(53, udp), outer), ""));
  assert(text_is(objection(port(53, tcp), outer),
                 "shop/web has port 53/tcp, which is not allowed"));
  assert(text_is(objection(port(443, RUTTER_POLICY_TYPES_PROTOCOL_SCTP), outer),
                 "shop/web has port 443/sctp, which is not allowed"));
}

static void a_protocol_of_another_name_is_never_allowed(void) {
  rutter_policy_types_service_port_t quic = port(443, RUTTER_POLICY_TYPES_PROTOCOL_OTHER);
  quic.protocol.val.other = 2;
  assert(text_is(objection(quic, RUTTER_POLICY_TYPES_ADDRESS_KIND_EXTERNAL_IP),
                 "shop/web has port 443/QUIC, which is not allowed"));
}

static void cluster_ips_are_left_to_others(void) {
  assert(text_is(objection(port(22, RUTTER_POLICY_TYPES_PROTOCOL_TCP),
                           RUTTER_POLICY_TYPES_ADDRESS_KIND_CLUSTER_IP),
                 ""));
}

static void settings_that_make_no_sense_are_refused(void) {
  const char *const REFUSED[][2] = {
      {"{}", "no port is allowed: list some, as in {\"tcp\": [80, 443]}"},
      {"[80]", "the settings are no JSON object"},
      {"{\"tcp\":[0]}", "tcp is not a list of whole numbers from 1 to 65535"},
      {"{\"udp\":[4294967297]}", "udp is not a list of whole numbers from 1 to 65535"},
      {"{\"tpc\":[80]}", "unknown key `tpc`, expected one of `tcp`, `udp`, `sctp`"},
  };
  for (size_t i = 0; i < LENGTH(REFUSED); i++) {
    policy_string_t settings = string(REFUSED[i][0]), error;
    assert(!exports_rutter_policy_module_validate_settings(&settings, &error));
    assert(text_is(error, REFUSED[i][1]));
  }
}

int main(void) {
  only_the_ports_of_its_protocol_are_allowed();
  a_protocol_of_another_name_is_never_allowed();
  cluster_ips_are_left_to_others();
  settings_that_make_no_sense_are_refused();
  puts("4 passed");
  return 0;
}
