/* Settings that are texts, whole numbers, and lists or tables of such numbers:
 * {"label": "vip", "med": 5, "tcp": [80, 443], "weights": {"rack-a": 1}}. The agent hands over a JSON
 * object; what is not of this shape is refused with an error that names the key. */
#ifndef RUTTER_KIT_SETTINGS_H
#define RUTTER_KIT_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "policy.h"

enum setting_kind { SETTING_NUMBER, SETTING_NUMBERS, SETTING_TABLE, SETTING_TEXT };

/* One key that a policy knows. */
struct setting {
  const char *key;
  enum setting_kind kind;
  /* What numbers may be, and where they go: one, or none where it is absent; all; or, of a table, those
   * of `keys`, which are as they are written. */
  uint32_t least, most;
  uint32_t *numbers;
  policy_string_t *keys;
  size_t count;
  /* Where a text goes. */
  policy_string_t text;
};

/* Reads all settings; those that are absent have no numbers and an empty text. False, and an error
 * for the operator, where one is not what it should be. */
bool settings_read(policy_string_t json, struct setting *known, size_t known_count,
                   policy_string_t *error);

#endif
