/* Texts put together piece by piece: reasons and errors. */
#ifndef RUTTER_KIT_TEXT_H
#define RUTTER_KIT_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "policy.h"

struct text {
  char *start;
  size_t length;
  size_t room;
};

/* Appends a C string. */
void text_add(struct text *text, const char *piece);

/* Appends octets that are UTF-8. */
void text_add_string(struct text *text, policy_string_t piece);

/* Appends a number in decimal. */
void text_add_number(struct text *text, uint32_t number);

/* The text as the contract has it; it keeps the memory. */
policy_string_t text_done(const struct text *text);

/* Whether a string is this C string. */
bool text_is(policy_string_t string, const char *other);

/* Whether two strings are the same. */
bool text_same(policy_string_t string, policy_string_t other);

#endif
