/* Whether traffic for an address of a Service is answered on this node, and by how many. */
#ifndef RUTTER_KIT_SERVING_H
#define RUTTER_KIT_SERVING_H

#include <stdbool.h>
#include <stdint.h>

#include "policy.h"

/* Whether a candidate is an address of a Service that this node answers for. Why it does not, where it
 * does not, is in candidate->serving.val.val.unserved. */
static inline bool is_served(const rutter_policy_types_candidate_t *candidate) {
  return candidate->serving.is_some &&
         candidate->serving.val.tag != RUTTER_POLICY_TYPES_SERVING_UNSERVED;
}

/* How many endpoints kube-proxy would send traffic to: the ready ones, and if there is none, those that
 * still serve while they terminate. */
static inline uint32_t usable_endpoints(const rutter_policy_types_endpoint_counts_t *counts) {
  return counts->ready > 0 ? counts->ready : counts->serving_terminating;
}

#endif
