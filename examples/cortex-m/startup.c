/* What runs before main on a Cortex-M: the vector table, the floating-point unit, memory that starts as zeros. And the two functions of a C
   library that a compiled model may call. */
#include <stddef.h>
#include <stdint.h>

extern uint32_t stack_top, zeros_start, zeros_end;
int main(void);
void leave(int code);

void *memcpy(void *to, const void *from, size_t bytes) {
    char *t = to;
    const char *f = from;
    for (size_t i = 0; i < bytes; i++) t[i] = f[i];
    return to;
}

void *memset(void *to, int value, size_t bytes) {
    char *t = to;
    for (size_t i = 0; i < bytes; i++) t[i] = (char)value;
    return to;
}

void reset(void) {
    *(volatile uint32_t *)0xE000ED88 |= 0xFu << 20; /* CPACR: full access to the floating-point unit */
    __asm volatile("dsb\n isb");
    for (uint32_t *word = &zeros_start; word < &zeros_end; word++) *word = 0;
    leave(main());
}

static void fault(void) {
    leave(100);
}

__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
    &stack_top, (void *)reset, (void *)fault, (void *)fault, (void *)fault, (void *)fault, (void *)fault,
};
