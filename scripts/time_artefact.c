/* Times calls of an artefact by one thread: time_artefact LIBRARY WEIGHTS PREFIX CONTEXT_BYTES ABI SECONDS DIMS.. -- OUTPUT_BYTES.. -- INPUT_FILE..
   WEIGHTS is their file, or - where the library has them. All memory is on huge pages: what a caller does to whom speed matters.
   Prints the median of a call's milliseconds, or what failed. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum { MOST = 256, CALLS = 1 << 20 };

static const size_t ADDRESSES = (size_t)1 << 36;

static void *symbol(void *library, const char *prefix, const char *name) {
    char full[512];
    snprintf(full, sizeof full, "%s_%s", prefix, name);
    void *found = dlsym(library, full);
    if (!found) {
        fprintf(stderr, "no %s\n", full);
        exit(1);
    }
    return found;
}

/* Zeroed, aligned to 64 bytes. */
static void *room(size_t bytes) {
    static char *all;
    static size_t used;
    if (!all) {
        all = mmap(NULL, ADDRESSES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        madvise(all, ADDRESSES, MADV_HUGEPAGE);
    }
    if (all == MAP_FAILED || bytes > ADDRESSES - used) {
        fprintf(stderr, "no memory for %zu bytes\n", bytes);
        exit(1);
    }
    void *memory = memset(all + used, 0, bytes);
    used += (bytes + 63) / 64 * 64;
    return memory;
}

static void *content(const char *path, size_t *bytes) {
    FILE *file = fopen(path, "rb");
    if (!file) {
        perror(path);
        exit(1);
    }
    fseek(file, 0, SEEK_END);
    *bytes = ftell(file);
    rewind(file);
    void *memory = room(*bytes);
    if (fread(memory, 1, *bytes, file) != *bytes) {
        perror(path);
        exit(1);
    }
    fclose(file);
    return memory;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + 1e-9 * t.tv_nsec;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int count, char **words) {
    if (count < 7) return 2;
    void *library = dlopen(words[1], RTLD_NOW);
    if (!library) return fprintf(stderr, "%s\n", dlerror()), 1;
    int32_t (*init)(void *, int64_t, const void *, int64_t, int32_t) = symbol(library, words[3], "init");
    int64_t (*scratch_bytes)(const int64_t *) = symbol(library, words[3], "scratch_bytes");
    int32_t (*run)(void *, void *const *, void *const *, int64_t *, void *, int64_t, void *, void *) = symbol(library, words[3], "run");
    int64_t context_bytes = atoll(words[4]);
    double seconds = atof(words[6]);
    static int64_t given[MOST], dims[MOST];
    static void *inputs[MOST], *outputs[MOST];
    int part = 0, at = 0;
    for (int i = 7; i < count; i++) {
        if (!strcmp(words[i], "--")) {
            part++, at = 0;
        } else if (part == 0) {
            given[at++] = atoll(words[i]);
        } else if (part == 1) {
            outputs[at++] = room(atoll(words[i]));
        } else {
            size_t bytes;
            inputs[at++] = content(words[i], &bytes);
        }
    }
    void *context = room(context_bytes);
    size_t weight_bytes = 0;
    void *weights = strcmp(words[2], "-") ? content(words[2], &weight_bytes) : NULL;
    int32_t result = init(context, context_bytes, weights, weight_bytes, atoi(words[5]));
    int64_t scratch = scratch_bytes(given);
    if (result || scratch < 0) return fprintf(stderr, "init %d, scratch %lld\n", result, (long long)scratch), 1;
    void *memory = room(scratch);
    double *times = malloc(CALLS * sizeof *times), start = now();
    int calls = 0;
    while (calls < CALLS && (calls < 5 || now() < start + seconds)) {
        memcpy(dims, given, sizeof dims);
        double begin = now();
        if ((result = run(context, inputs, outputs, dims, memory, scratch, NULL, NULL))) return fprintf(stderr, "run %d\n", result), 1;
        times[calls++] = now() - begin;
    }
    qsort(times, calls, sizeof *times, ascending);
    printf("%.6f\n", times[calls / 2] * 1e3);
    return 0;
}
