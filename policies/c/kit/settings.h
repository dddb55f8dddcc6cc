/* Settings that are lists of whole numbers: {"tcp": [80, 443]}. The agent hands over a JSON
 * object; what is not of this shape is refused with an error that names the key. */
#ifndef RUTTER_KIT_SETTINGS_H
#define RUTTER_KIT_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "policy.h"

/* One key that a policy knows. */
struct setting {
  const char *key;
  /* What its numbers may be. */
  uint32_t least, most;
  /* Where they go. */
  uint32_t *numbers;
  size_t count;
};

/* Reads all settings; those that are absent have no numbers. False, and an error for the
 * operator, where one is not what it should be. */
bool settings_read(policy_string_t json, struct setting *known, size_t known_count,
                   policy_string_t *error);

#endif
