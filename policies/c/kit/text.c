/* See text.h. */

#include "text.h"

#include <stdlib.h>
#include <string.h>

static void append(struct text *text, const char *piece, size_t length) {
  if (length > text->room - text->length) {
    text->room = 2 * text->room + length;
    text->start = realloc(text->start, text->room);
  }
  memcpy(text->start + text->length, piece, length);
  text->length += length;
}

void text_add(struct text *text, const char *piece) { append(text, piece, strlen(piece)); }

void text_add_string(struct text *text, policy_string_t piece) {
  append(text, (const char *)piece.ptr, piece.len);
}

void text_add_number(struct text *text, uint32_t number) {
  char digits[10];
  size_t first = sizeof digits;
  do {
    digits[--first] = (char)('0' + number % 10);
    number /= 10;
  } while (number > 0);
  append(text, digits + first, sizeof digits - first);
}

policy_string_t text_done(const struct text *text) {
  return (policy_string_t){.ptr = (uint8_t *)text->start, .len = text->length};
}

bool text_is(policy_string_t string, const char *other) {
  return string.len == strlen(other) && memcmp(string.ptr, other, string.len) == 0;
}

bool text_same(policy_string_t string, policy_string_t other) {
  return string.len == other.len && memcmp(string.ptr, other.ptr, string.len) == 0;
}
