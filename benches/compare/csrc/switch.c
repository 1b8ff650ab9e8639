/* Coroutines as they were made in C: by setjmp and longjmp, and by ucontext.
 *
 * A coroutine counts how often it was resumed, for ever; no frame of Rust is ever jumped over. Both kinds put their
 * data where the caller says, and both enter their stack for the first time by makecontext: setjmp knows no way to
 * make a context of its own.
 *
 * One thread uses them at a time.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <ucontext.h>

struct jumper {
    jmp_buf inside;
    uint64_t turns;
};

static jmp_buf jumper_outside;
static struct jumper *jumper_first;

static void jumper_body(void) {
    struct jumper *self = jumper_first;
    for (;;) {
        self->turns++;
        if (!_setjmp(self->inside))
            _longjmp(jumper_outside, 1);
    }
}

size_t jumper_size(void) { return sizeof(struct jumper); }

/* Enters the stack, and comes back at the first turn. 0 or -1, as getcontext. */
int jumper_start(struct jumper *self, void *stack, size_t size) {
    ucontext_t first;
    if (getcontext(&first))
        return -1;
    first.uc_stack.ss_sp = stack;
    first.uc_stack.ss_size = size;
    first.uc_link = NULL;
    makecontext(&first, jumper_body, 0);
    self->turns = 0;
    jumper_first = self;
    if (!_setjmp(jumper_outside))
        setcontext(&first);
    return 0;
}

uint64_t jumper_resume(struct jumper *self) {
    if (!_setjmp(jumper_outside))
        _longjmp(self->inside, 1);
    return self->turns;
}

struct context {
    ucontext_t inside;
    uint64_t turns;
};

static ucontext_t context_outside;
static struct context *context_first;

static void context_body(void) {
    struct context *self = context_first;
    for (;;) {
        self->turns++;
        swapcontext(&self->inside, &context_outside);
    }
}

size_t context_size(void) { return sizeof(struct context); }

int context_start(struct context *self, void *stack, size_t size) {
    if (getcontext(&self->inside))
        return -1;
    self->inside.uc_stack.ss_sp = stack;
    self->inside.uc_stack.ss_size = size;
    self->inside.uc_link = NULL;
    makecontext(&self->inside, context_body, 0);
    self->turns = 0;
    context_first = self;
    return swapcontext(&context_outside, &self->inside);
}

uint64_t context_resume(struct context *self) {
    swapcontext(&context_outside, &self->inside);
    return self->turns;
}
