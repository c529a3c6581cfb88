/* Many threads call one artefact at once, each with a context and scratch of its own, at different sizes. Each result must be, bit for bit,
   the one that a single thread computed before. Every fourth thread hands tasks to a pool that they share.

   Usage: threads THREADS CALLS */
#include "pool.h"
#include "ppocr_cls.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COLOURS = 3, CLASSES = 2, CASES = 5 };

/* Pictures, their height and width. */
static const int64_t sizes[CASES][PPOCR_CLS_DIMS] = {{1, 48, 192}, {2, 48, 64}, {1, 32, 33}, {5, 32, 48}, {3, 33, 95}};

static float *inputs[CASES], *wanted[CASES];
static struct pool *pool;

static void require(int fine, const char *what) {
    if (fine) return;
    fprintf(stderr, "%s\n", what);
    exit(1);
}

static void *memory(int64_t bytes) {
    void *start = aligned_alloc(PPOCR_CLS_ALIGNMENT, (size_t)(bytes / PPOCR_CLS_ALIGNMENT + 1) * PPOCR_CLS_ALIGNMENT);
    require(start != NULL, "no memory");
    return start;
}

static size_t output_bytes(int which) {
    return (size_t)sizes[which][0] * CLASSES * sizeof(float);
}

/* The result of a case, by a context that lives as long as this call. */
static float *call(int which, struct pool *own) {
    int64_t dims[PPOCR_CLS_DIMS];
    memcpy(dims, sizes[which], sizeof dims);
    int64_t bytes = ppocr_cls_scratch_bytes(dims);
    require(bytes >= 0, "scratch_bytes");
    void *context = memory(PPOCR_CLS_CONTEXT_BYTES), *scratch = memory(bytes);
    float *output = memory((int64_t)output_bytes(which));
    require(ppocr_cls_init(context, PPOCR_CLS_CONTEXT_BYTES, NULL, 0, PPOCR_CLS_ABI) == 0, "init");
    const void *given[PPOCR_CLS_INPUTS] = {inputs[which]};
    void *results[PPOCR_CLS_OUTPUTS] = {output};
    int32_t result = ppocr_cls_run(context, given, results, dims, scratch, bytes, own ? pool_for : NULL, own);
    require(result == 0, ppocr_cls_message(result));
    free(scratch);
    free(context);
    return output;
}

struct caller {
    pthread_t thread;
    int number, calls, wrong;
};

static void *work(void *argument) {
    struct caller *caller = argument;
    for (int at = 0; at < caller->calls; at++) {
        int which = (caller->number + at) % CASES;
        float *output = call(which, caller->number % 4 == 0 ? pool : NULL);
        caller->wrong += memcmp(output, wanted[which], output_bytes(which)) != 0;
        free(output);
    }
    return NULL;
}

static float *drawn(int which) {
    int64_t elements = COLOURS * sizes[which][0] * sizes[which][1] * sizes[which][2];
    float *input = memory(elements * (int64_t)sizeof(float));
    uint32_t state = 1 + (uint32_t)which;
    for (int64_t at = 0; at < elements; at++) {
        state = state * 1664525u + 1013904223u;
        input[at] = (float)(state >> 8) / 8388608.0f - 1.0f;
    }
    return input;
}

int main(int count, char **words) {
    require(count == 3, "usage: threads THREADS CALLS");
    int threads = atoi(words[1]), calls = atoi(words[2]), wrong = 0;
    for (int which = 0; which < CASES; which++) {
        inputs[which] = drawn(which);
        wanted[which] = call(which, NULL);
    }
    pool = pool_new(3);
    struct caller *callers = calloc((size_t)threads, sizeof *callers);
    require(pool && callers, "no memory");
    for (int at = 0; at < threads; at++) {
        callers[at].number = at;
        callers[at].calls = calls;
        require(pthread_create(&callers[at].thread, NULL, work, &callers[at]) == 0, "no thread");
    }
    for (int at = 0; at < threads; at++) {
        pthread_join(callers[at].thread, NULL);
        wrong += callers[at].wrong;
    }
    for (int which = 0; which < CASES; which++) {
        free(inputs[which]);
        free(wanted[which]);
    }
    free(callers);
    pool_free(pool);
    printf("%d of %d calls of %d threads give the bits of one thread\n", threads * calls - wrong, threads * calls, threads);
    return wrong != 0;
}
