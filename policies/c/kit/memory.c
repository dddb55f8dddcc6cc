/* Memory of a policy. The agent drops a module with all its memory after each call, so pieces
 * are handed out one after the other and none comes back; only the latest can grow in place. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_BYTES 65536u
#define ALIGNMENT 16u

/* Where the linker put the end of everything else. */
extern unsigned char __heap_base;

static uintptr_t next;   /* the first octet that nobody has */
static uintptr_t latest; /* the piece before it */

static void take(uintptr_t end) {
  uintptr_t limit = (uintptr_t)__builtin_wasm_memory_size(0) * PAGE_BYTES;
  if (end > limit) {
    uintptr_t pages = (end - limit + PAGE_BYTES - 1) / PAGE_BYTES;
    if (__builtin_wasm_memory_grow(0, pages) == (uintptr_t)-1) {
      abort();
    }
  }
  next = end;
}

static uintptr_t end_of(uintptr_t start, size_t size) {
  if (size > UINTPTR_MAX - start - ALIGNMENT) {
    abort();
  }
  return start + size;
}

void *malloc(size_t size) {
  uintptr_t start = next != 0 ? next : (uintptr_t)&__heap_base;
  start = end_of(start, ALIGNMENT - 1) & ~(uintptr_t)(ALIGNMENT - 1);
  latest = start;
  take(end_of(start, size));
  return (void *)start;
}

/* How large the old piece was is not kept: what lies after it is this module's own memory, so
 * copying more of it than was used does no harm. */
void *realloc(void *old, size_t size) {
  uintptr_t start = (uintptr_t)old;
  if (old == NULL) {
    return malloc(size);
  }
  if (start == latest) {
    take(end_of(start, size));
    return old;
  }
  size_t known = latest - start;
  void *fresh = malloc(size);
  return memcpy(fresh, old, known < size ? known : size);
}

void free(void *old) { (void)old; }

_Noreturn void abort(void) { __builtin_trap(); }

void *memcpy(void *to, const void *from, size_t count) { return memmove(to, from, count); }

void *memmove(void *to, const void *from, size_t count) {
  unsigned char *target = to;
  const unsigned char *source = from;
  if (target < source) {
    for (size_t i = 0; i < count; i++) {
      target[i] = source[i];
    }
  } else {
    for (size_t i = count; i > 0; i--) {
      target[i - 1] = source[i - 1];
    }
  }
  return to;
}

void *memset(void *to, int octet, size_t count) {
  unsigned char *target = to;
  for (size_t i = 0; i < count; i++) {
    target[i] = (unsigned char)octet;
  }
  return to;
}

int memcmp(const void *a, const void *b, size_t count) {
  const unsigned char *left = a, *right = b;
  for (size_t i = 0; i < count; i++) {
    if (left[i] != right[i]) {
      return left[i] < right[i] ? -1 : 1;
    }
  }
  return 0;
}

size_t strlen(const char *text) {
  size_t length = 0;
  while (text[length] != '\0') {
    length++;
  }
  return length;
}
