/* A model on a machine without a system: no heap, no files; its inputs, and what its outputs should be, are part of the program.

   `scratch`, `context` and the outputs are the caller's memory. Where all sizes are bound, the model's header tells how much that is; what
   else depends on the model, its name and the bytes that are linked in, build.py puts into sizes.h. */
#include "sizes.h"

#include HEADER

static char context[CONSTANT(CONTEXT_BYTES)] __attribute__((aligned(CONSTANT(ALIGNMENT))));
static char scratch[CONSTANT(SCRATCH_BYTES)] __attribute__((aligned(CONSTANT(ALIGNMENT)), section(".large")));
static char results[OUTPUT_BYTES] __attribute__((aligned(CONSTANT(ALIGNMENT)), section(".large")));

/* A request to the debugger or emulator: 0x04 writes a text, 0x20 ends the program. */
static void semihosting(int number, const void *argument) {
    register int r0 __asm("r0") = number;
    register const void *r1 __asm("r1") = argument;
    __asm volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
}

static void print(const char *text) {
    semihosting(0x04, text);
}

void leave(int code) {
    const uint32_t block[2] = {0x20026, (uint32_t)code};
    semihosting(0x20, block);
    for (;;) {}
}

/* A number from 0 on with six digits behind the point. */
static void print_number(double number) {
    char digits[32], *place = digits + sizeof digits;
    uint32_t whole = number < 4e9 ? (uint32_t)number : 4000000000u, part = number < 4e9 ? (uint32_t)((number - whole) * 1e6) : 0;
    *--place = 0;
    for (int i = 0; i < 6; i++, part /= 10) *--place = (char)('0' + part % 10);
    *--place = '.';
    do *--place = (char)('0' + whole % 10);
    while (whole /= 10);
    print(place);
}

/* The largest difference over what it may be: 1e-3 of the standard deviation of what is wanted, and 1e-5 of its largest number. */
static double quotient(const float *got, const float *wanted, int count) {
    double sum = 0, squares = 0, largest = 0, error = 0;
    for (int i = 0; i < count; i++) {
        double w = wanted[i], difference = got[i] > w ? got[i] - w : w - got[i];
        if (got[i] != got[i]) return 1e9;
        sum += w, squares += w * w;
        if (w > largest || -w > largest) largest = w < 0 ? -w : w;
        if (difference > error) error = difference;
    }
    double mean = sum / count, deviation;
    double variance = squares / count - mean * mean;
    __asm("vsqrt.f64 %P0, %P1" : "=w"(deviation) : "w"(variance > 0 ? variance : 0));
    double bound = 1e-3 * deviation + 1e-5 * largest;
    return error == 0 ? 0 : bound > 0 ? error / bound : 1e9;
}

static int failed(int32_t result) {
    print(MODEL(message)(result));
    print("\n");
    return 1;
}

int main(void) {
    static void *outputs[CONSTANT(OUTPUTS) + 1];
    static int64_t bytes[CONSTANT(OUTPUTS) + 1];
    int32_t result = MODEL(init)(context, sizeof context, 0, 0, CONSTANT(ABI));
    if (result == 0) result = MODEL(output_bytes)(0, bytes);
    if (result) return failed(result);
    char *next = results;
    for (int i = 0; i < CONSTANT(OUTPUTS); i++) {
        outputs[i] = next;
        next += (bytes[i] + CONSTANT(ALIGNMENT) - 1) & -CONSTANT(ALIGNMENT);
    }
    result = MODEL(run)(context, inputs, outputs, 0, scratch, sizeof scratch, 0, 0);
    if (result) return failed(result);
    double worst = 0;
    for (int i = 0; i < CONSTANT(OUTPUTS); i++) {
        double own = quotient(outputs[i], wanted[i], (int)(bytes[i] / sizeof(float)));
        if (own > worst) worst = own;
    }
    print("quotient ");
    print_number(worst);
    print(worst <= 1 ? "\nthe outputs are right\n" : "\nthe outputs are wrong\n");
    return worst > 1;
}
