/* What the generated bindings need of <stdlib.h>: there is no C library in a policy. */
#ifndef RUTTER_KIT_STDLIB_H
#define RUTTER_KIT_STDLIB_H

#include <stddef.h>

void *malloc(size_t size);
void *realloc(void *old, size_t size);
void free(void *old);
_Noreturn void abort(void);

#endif
