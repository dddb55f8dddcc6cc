/* Lines in the agent's log, for those who look for a fault: log_warn(text_done(&text)). A policy that
 * writes none does not import the function; in native tests lines go to the standard error output. */
#ifndef RUTTER_KIT_LOG_H
#define RUTTER_KIT_LOG_H

#include "policy.h"

/* Something is wrong that somebody has to mend. */
static inline void log_error(policy_string_t line) {
  rutter_policy_log_log(RUTTER_POLICY_LOG_LEVEL_ERROR, &line);
}

/* Something is not as it should be. */
static inline void log_warn(policy_string_t line) {
  rutter_policy_log_log(RUTTER_POLICY_LOG_LEVEL_WARN, &line);
}

/* What an operator would like to know. */
static inline void log_info(policy_string_t line) {
  rutter_policy_log_log(RUTTER_POLICY_LOG_LEVEL_INFO, &line);
}

/* What only the policy's author would. */
static inline void log_debug(policy_string_t line) {
  rutter_policy_log_log(RUTTER_POLICY_LOG_LEVEL_DEBUG, &line);
}

#endif
