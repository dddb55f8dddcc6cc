/* Prefixes: 192.0.2.0/24, 2001:db8::/32. */
#ifndef RUTTER_KIT_PREFIX_H
#define RUTTER_KIT_PREFIX_H

#include <stdbool.h>
#include <stdint.h>

#include "policy.h"

/* Reads a prefix as people write it. False where it is none, or has host bits set. */
bool prefix_read(policy_string_t text, rutter_policy_types_prefix_t *prefix);

/* Whether the other lies inside of this one, or is the same. */
bool prefix_covers(const rutter_policy_types_prefix_t *prefix,
                   const rutter_policy_types_prefix_t *other);

/* The longest that a prefix of its family can be: 32 or 128. */
uint8_t prefix_bits(const rutter_policy_types_prefix_t *prefix);

#endif
