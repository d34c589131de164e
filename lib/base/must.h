// must.h - the invariants of our own code, always compiled in.
//
// must() is for what only a bug of ours can break. It is never used on what a
// peer sent, nor on what the world does (disk, socket, memory).

#ifndef GALLEON_MUST_H
#define GALLEON_MUST_H

#define must(condition) ((condition) ? (void)0 : must_fail(__FILE__, __LINE__, #condition))

typedef void must_hook_fn(const char *file, int line, const char *condition);

// must_set_hook names what is told before the process ends: a shell prints a
// line and a trace. NULL: nobody.
void must_set_hook(must_hook_fn *hook);

// must_fail ends the process with SIGILL or SIGTRAP, after the hook.
_Noreturn void must_fail(const char *file, int line, const char *condition);

#endif
