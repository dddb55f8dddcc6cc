/* What the generated bindings and policies need of <string.h>. */
#ifndef RUTTER_KIT_STRING_H
#define RUTTER_KIT_STRING_H

#include <stddef.h>

void *memcpy(void *to, const void *from, size_t count);
void *memmove(void *to, const void *from, size_t count);
void *memset(void *to, int octet, size_t count);
int memcmp(const void *a, const void *b, size_t count);
size_t strlen(const char *text);

#endif
