/* For native tests only: stands where a module has its component type, and where the agent takes
 * lines for its log. */

#include <stdint.h>
#include <stdio.h>

void __component_type_object_force_link_policy(void);

void __component_type_object_force_link_policy(void) {}

void __wasm_import_rutter_policy_log_log(int32_t level, uint8_t *text, size_t length);

void __wasm_import_rutter_policy_log_log(int32_t level, uint8_t *text, size_t length) {
  static const char *const LEVELS[] = {"error", "warn", "info", "debug"};
  fprintf(stderr, "%s: %.*s\n", LEVELS[level & 3], (int)length, (const char *)text);
}
