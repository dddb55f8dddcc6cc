/* See settings.h. The text is JSON already: the agent wrote it. */

#include "settings.h"

#include <stdlib.h>
#include <string.h>

#include "text.h"

struct reader {
  const uint8_t *at, *end;
};

static void skip_space(struct reader *reader) {
  while (reader->at < reader->end && (*reader->at == ' ' || *reader->at == '\t' ||
                                      *reader->at == '\n' || *reader->at == '\r')) {
    reader->at++;
  }
}

/* Takes this character, if it comes next. */
static bool take(struct reader *reader, uint8_t wanted) {
  skip_space(reader);
  if (reader->at >= reader->end || *reader->at != wanted) {
    return false;
  }
  reader->at++;
  return true;
}

/* The rest of an escape. The agent writes a number only for a control character. */
static bool take_escaped(struct reader *reader, uint8_t *octet) {
  static const char NAMES[] = "\"\\/bfnrt", OCTETS[] = "\"\\/\b\f\n\r\t";
  if (reader->at == reader->end) {
    return false;
  }
  uint8_t name = *reader->at++;
  for (size_t i = 0; i < sizeof NAMES - 1; i++) {
    if ((uint8_t)NAMES[i] == name) {
      *octet = (uint8_t)OCTETS[i];
      return true;
    }
  }
  unsigned value = 0;
  for (size_t i = 0; i < 4; i++) {
    uint8_t digit = reader->at < reader->end ? *reader->at++ : 0;
    bool letter = (digit | 0x20) >= 'a' && (digit | 0x20) <= 'f';
    if (!letter && (digit < '0' || digit > '9')) {
      return false;
    }
    value = value << 4 | (letter ? (unsigned)(digit | 0x20) - 'a' + 10 : (unsigned)digit - '0');
  }
  *octet = (uint8_t)value;
  return name == 'u' && value < 0x80;
}

static bool take_text(struct reader *reader, policy_string_t *text) {
  if (!take(reader, '"')) {
    return false;
  }
  /* No longer than what is left. */
  text->ptr = malloc((size_t)(reader->end - reader->at));
  text->len = 0;
  while (reader->at < reader->end && *reader->at != '"') {
    uint8_t octet = *reader->at++;
    if (octet == '\\' && !take_escaped(reader, &octet)) {
      return false;
    }
    text->ptr[text->len++] = octet;
  }
  return take(reader, '"');
}

/* What is between quotes, as it is written. */
static bool take_key(struct reader *reader, policy_string_t *key) {
  if (!take(reader, '"')) {
    return false;
  }
  key->ptr = (uint8_t *)reader->at;
  while (reader->at < reader->end && *reader->at != '"') {
    reader->at += *reader->at == '\\' ? 2 : 1;
  }
  key->len = (size_t)(reader->at - key->ptr);
  return take(reader, '"') && take(reader, ':');
}

static bool take_number(struct reader *reader, uint32_t *number) {
  uint64_t value = 0;
  skip_space(reader);
  const uint8_t *first = reader->at;
  while (reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9') {
    value = value * 10 + (*reader->at++ - '0');
    if (value > UINT32_MAX) {
      return false;
    }
  }
  *number = (uint32_t)value;
  bool whole = reader->at == reader->end || (*reader->at != '.' && (*reader->at | 0x20) != 'e');
  return reader->at > first && whole;
}

/* The next number of the setting: there is room for it. */
static bool take_one(struct reader *reader, struct setting *setting) {
  uint32_t number;
  if (!take_number(reader, &number) || number < setting->least || number > setting->most) {
    return false;
  }
  setting->numbers[setting->count++] = number;
  return true;
}

static bool take_numbers(struct reader *reader, struct setting *setting) {
  if (!take(reader, '[')) {
    return false;
  }
  if (take(reader, ']')) {
    return true;
  }
  do {
    if (!take_one(reader, setting)) {
      return false;
    }
  } while (take(reader, ','));
  return take(reader, ']');
}

static bool take_table(struct reader *reader, struct setting *setting) {
  if (!take(reader, '{')) {
    return false;
  }
  if (take(reader, '}')) {
    return true;
  }
  do {
    if (!take_key(reader, &setting->keys[setting->count]) || !take_one(reader, setting)) {
      return false;
    }
  } while (take(reader, ','));
  return take(reader, '}');
}

static bool take_value(struct reader *reader, struct setting *setting) {
  /* No more numbers than characters are left. */
  size_t most = (size_t)(reader->end - reader->at);
  setting->count = 0;
  switch (setting->kind) {
  case SETTING_NUMBER:
    setting->numbers = malloc(sizeof(uint32_t));
    return take_one(reader, setting);
  case SETTING_NUMBERS:
    setting->numbers = malloc(most * sizeof(uint32_t));
    return take_numbers(reader, setting);
  case SETTING_TABLE:
    setting->numbers = malloc(most * sizeof(uint32_t));
    setting->keys = malloc(most * sizeof(policy_string_t));
    return take_table(reader, setting);
  case SETTING_TEXT:
    return take_text(reader, &setting->text);
  }
  return false;
}

static bool refuse_unknown(policy_string_t key, const struct setting *known, size_t known_count,
                           policy_string_t *error) {
  struct text text = {0};
  text_add(&text, "unknown key `");
  text_add_string(&text, key);
  text_add(&text, "`, expected one of");
  for (size_t i = 0; i < known_count; i++) {
    text_add(&text, i == 0 ? " `" : ", `");
    text_add(&text, known[i].key);
    text_add(&text, "`");
  }
  *error = text_done(&text);
  return false;
}

static bool refuse_value(const struct setting *setting, policy_string_t *error) {
  static const char *const EXPECTED[] = {
      [SETTING_NUMBER] = " is not a whole number",
      [SETTING_NUMBERS] = " is not a list of whole numbers",
      [SETTING_TABLE] = " is not a table of whole numbers",
      [SETTING_TEXT] = " is not a text",
  };
  struct text text = {0};
  text_add(&text, setting->key);
  text_add(&text, EXPECTED[setting->kind]);
  if (setting->kind != SETTING_TEXT) {
    text_add(&text, " from ");
    text_add_number(&text, setting->least);
    text_add(&text, " to ");
    text_add_number(&text, setting->most);
  }
  *error = text_done(&text);
  return false;
}

static bool refuse_all(policy_string_t *error) {
  struct text text = {0};
  text_add(&text, "the settings are no JSON object");
  *error = text_done(&text);
  return false;
}

bool settings_read(policy_string_t json, struct setting *known, size_t known_count,
                   policy_string_t *error) {
  struct reader reader = {json.ptr, json.ptr + json.len};
  if (!take(&reader, '{')) {
    return refuse_all(error);
  }
  if (take(&reader, '}')) {
    return true;
  }
  do {
    policy_string_t key;
    if (!take_key(&reader, &key)) {
      return refuse_all(error);
    }
    size_t i = 0;
    while (i < known_count && !text_is(key, known[i].key)) {
      i++;
    }
    if (i == known_count) {
      return refuse_unknown(key, known, known_count, error);
    }
    if (!take_value(&reader, &known[i])) {
      return refuse_value(&known[i], error);
    }
  } while (take(&reader, ','));
  return take(&reader, '}') || refuse_all(error);
}
