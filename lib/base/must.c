// must.c - ends the process where one of our own invariants is broken.

#include "must.h"

#include <stddef.h>

static must_hook_fn *hook_of_process = NULL;

void
must_set_hook(must_hook_fn *hook)
{
    hook_of_process = hook;
}

void
must_fail(const char *file, int line, const char *condition)
{
    if (hook_of_process != NULL)
        hook_of_process(file, line, condition);
    __builtin_trap();
}
