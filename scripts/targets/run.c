/* Calls a compiled model with the inputs of a file, and writes its outputs to another.

   cc -DHEADER='"NAME.h"' -DPREFIX=name -DCAPITALS=NAME -DOUTPUT_DIMS=N run.c name.o      N: how many dims all outputs have
   run INPUTS OUTPUTS BYTES .. DIM ..      the bytes of each input, one after the other in the file, and the free sizes

   The outputs' dims come first, as int64, then the bytes of all outputs. */
#include HEADER
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JOINED_(a, b) a##_##b
#define JOINED(a, b) JOINED_(a, b)
#define MODEL(name) JOINED(PREFIX, name)
#define CONSTANT(name) JOINED(CAPITALS, name)

static void fail(const char *what) {
    fprintf(stderr, "%s\n", what);
    exit(1);
}

static void *room(int64_t bytes) {
    void *memory = aligned_alloc(CONSTANT(ALIGNMENT), (bytes / CONSTANT(ALIGNMENT) + 1) * CONSTANT(ALIGNMENT));
    if (!memory) fail("no memory");
    return memory;
}

static int64_t checked(int64_t result) {
    if (result < 0) fail(MODEL(message)((int32_t)result));
    return result;
}

int main(int count, char **words) {
    const void *inputs[CONSTANT(INPUTS) + 1];
    void *outputs[CONSTANT(OUTPUTS) + 1];
    int64_t dims[CONSTANT(DIMS) + 1], bytes[CONSTANT(OUTPUTS) + 1], output_dims[OUTPUT_DIMS + 1];
    if (count != 3 + CONSTANT(INPUTS) + CONSTANT(DIMS)) fail("usage: run INPUTS OUTPUTS BYTES .. DIM ..");
    FILE *file = fopen(words[1], "rb");
    if (!file) fail(words[1]);
    for (int i = 0; i < CONSTANT(INPUTS); i++) {
        int64_t size = atoll(words[3 + i]);
        void *input = room(size);
        if (fread(input, 1, size, file) != (size_t)size) fail("the inputs are too short");
        inputs[i] = input;
    }
    for (int i = 0; i < CONSTANT(DIMS); i++) dims[i] = atoll(words[3 + CONSTANT(INPUTS) + i]);

    void *context = room(CONSTANT(CONTEXT_BYTES));
    checked(MODEL(init)(context, CONSTANT(CONTEXT_BYTES), NULL, 0, CONSTANT(ABI)));
    int64_t scratch_bytes = checked(MODEL(scratch_bytes)(dims));
    checked(MODEL(output_bytes)(dims, bytes));
    for (int i = 0; i < CONSTANT(OUTPUTS); i++) outputs[i] = room(bytes[i]);
    int32_t result = MODEL(run)(context, inputs, outputs, dims, room(scratch_bytes), scratch_bytes, NULL, NULL);
    if (result) fail(MODEL(message)(result));

    checked(MODEL(output_dims)(dims, output_dims));
    file = fopen(words[2], "wb");
    if (!file) fail(words[2]);
    fwrite(output_dims, 8, OUTPUT_DIMS, file);
    for (int i = 0; i < CONSTANT(OUTPUTS); i++) fwrite(outputs[i], 1, bytes[i], file);
    if (fclose(file)) fail("the outputs were not written");
    return 0;
}
