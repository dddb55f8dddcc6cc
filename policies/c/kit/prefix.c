/* See prefix.h. The last four octets of an IPv6 address cannot be written as those of IPv4. */

#include "prefix.h"

#include <string.h>

#define OCTETS 16 /* of the longest address */
#define GROUPS 8  /* of 16 bits, of an IPv6 address */
#define NO_GAP 9  /* no place between them */

struct reader {
  const uint8_t *at, *end;
};

static bool take(struct reader *reader, char wanted) {
  if (reader->at == reader->end || *reader->at != wanted) {
    return false;
  }
  reader->at++;
  return true;
}

/* The value of a digit; what is none is larger than any. */
static unsigned digit(uint8_t character) {
  uint8_t letter = character | 0x20;
  if (character >= '0' && character <= '9') {
    return character - '0';
  }
  return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10u : 16u;
}

static bool take_number(struct reader *reader, unsigned base, size_t digits_most, unsigned most,
                        unsigned *number) {
  const uint8_t *first = reader->at;
  *number = 0;
  while (reader->at < reader->end && digit(*reader->at) < base) {
    *number = *number * base + digit(*reader->at++);
    if ((size_t)(reader->at - first) > digits_most) {
      return false;
    }
  }
  /* A decimal number that begins with zero is octal to some. */
  bool padded = base == 10 && reader->at > first + 1 && *first == '0';
  return reader->at > first && *number <= most && !padded;
}

static bool take_ipv4(struct reader *reader, uint8_t octets[OCTETS]) {
  for (size_t i = 0; i < 4; i++) {
    unsigned octet;
    if ((i > 0 && !take(reader, '.')) || !take_number(reader, 10, 3, 255, &octet)) {
      return false;
    }
    octets[i] = (uint8_t)octet;
  }
  return true;
}

static bool take_ipv6(struct reader *reader, uint8_t octets[OCTETS]) {
  size_t count = 0, gap = NO_GAP; /* how many groups were read, and where `::` was among them */
  memset(octets, 0, OCTETS);
  for (;;) {
    bool first = count == 0 && gap == NO_GAP;
    if (reader->end - reader->at >= 2 && memcmp(reader->at, "::", 2) == 0) {
      if (gap != NO_GAP) {
        return false;
      }
      reader->at += 2;
      gap = count;
      if (reader->at == reader->end || digit(*reader->at) >= 16) {
        break;
      }
    } else if (!first && !take(reader, ':')) {
      break;
    }
    unsigned group;
    if (count == GROUPS || !take_number(reader, 16, 4, 0xffff, &group)) {
      return false;
    }
    octets[2 * count] = (uint8_t)(group >> 8);
    octets[2 * count + 1] = (uint8_t)group;
    count++;
  }
  if (gap == NO_GAP) {
    return count == GROUPS;
  }
  size_t after = 2 * (count - gap);
  memmove(octets + OCTETS - after, octets + 2 * gap, after);
  memset(octets + 2 * gap, 0, OCTETS - 2 * count);
  return count < GROUPS;
}

/* Whether two addresses begin with the same bits. */
static bool same_bits(const uint8_t *one, const uint8_t *other, size_t bits) {
  size_t octets = bits / 8, rest = bits % 8;
  return memcmp(one, other, octets) == 0 &&
         (rest == 0 || (one[octets] ^ other[octets]) >> (8 - rest) == 0);
}

static bool has_host_bits(const uint8_t octets[OCTETS], size_t length, size_t bits) {
  uint8_t network[OCTETS] = {0};
  for (size_t i = 0; i < length; i++) {
    network[i / 8] |= octets[i / 8] & (uint8_t)(0x80 >> i % 8);
  }
  return !same_bits(octets, network, bits);
}

static void to_octets(const rutter_policy_types_ip_address_t *address, uint8_t octets[OCTETS]) {
  if (address->tag == RUTTER_POLICY_TYPES_IP_ADDRESS_IPV4) {
    const policy_tuple4_u8_u8_u8_u8_t *from = &address->val.ipv4;
    const uint8_t own[] = {from->f0, from->f1, from->f2, from->f3};
    memcpy(octets, own, sizeof own);
    return;
  }
  const policy_tuple8_u16_u16_u16_u16_u16_u16_u16_u16_t *from = &address->val.ipv6;
  const uint16_t groups[GROUPS] = {from->f0, from->f1, from->f2, from->f3,
                                   from->f4, from->f5, from->f6, from->f7};
  for (size_t i = 0; i < GROUPS; i++) {
    octets[2 * i] = (uint8_t)(groups[i] >> 8);
    octets[2 * i + 1] = (uint8_t)groups[i];
  }
}

static void from_octets(const uint8_t octets[OCTETS], rutter_policy_types_ip_address_t *address) {
  if (address->tag == RUTTER_POLICY_TYPES_IP_ADDRESS_IPV4) {
    address->val.ipv4 =
        (policy_tuple4_u8_u8_u8_u8_t){octets[0], octets[1], octets[2], octets[3]};
    return;
  }
  uint16_t groups[GROUPS];
  for (size_t i = 0; i < GROUPS; i++) {
    groups[i] = (uint16_t)(octets[2 * i] << 8 | octets[2 * i + 1]);
  }
  address->val.ipv6 = (policy_tuple8_u16_u16_u16_u16_u16_u16_u16_u16_t){
      groups[0], groups[1], groups[2], groups[3], groups[4], groups[5], groups[6], groups[7]};
}

uint8_t prefix_bits(const rutter_policy_types_prefix_t *prefix) {
  return prefix->address.tag == RUTTER_POLICY_TYPES_IP_ADDRESS_IPV4 ? 32 : 128;
}

bool prefix_read(policy_string_t text, rutter_policy_types_prefix_t *prefix) {
  struct reader reader = {text.ptr, text.ptr + text.len};
  uint8_t octets[OCTETS];
  unsigned length;
  prefix->address.tag = RUTTER_POLICY_TYPES_IP_ADDRESS_IPV4;
  if (!take_ipv4(&reader, octets)) {
    reader.at = text.ptr;
    prefix->address.tag = RUTTER_POLICY_TYPES_IP_ADDRESS_IPV6;
    if (!take_ipv6(&reader, octets)) {
      return false;
    }
  }
  uint8_t bits = prefix_bits(prefix);
  if (!take(&reader, '/') || !take_number(&reader, 10, 3, bits, &length) ||
      reader.at != reader.end || has_host_bits(octets, length, bits)) {
    return false;
  }
  from_octets(octets, &prefix->address);
  prefix->length = (uint8_t)length;
  return true;
}

bool prefix_covers(const rutter_policy_types_prefix_t *prefix,
                   const rutter_policy_types_prefix_t *other) {
  uint8_t octets[OCTETS], others[OCTETS];
  to_octets(&prefix->address, octets);
  to_octets(&other->address, others);
  return prefix->address.tag == other->address.tag && prefix->length <= other->length &&
         same_bits(octets, others, prefix->length);
}
