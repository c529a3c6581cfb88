/* A pool of threads for the `parallel_for` of artefacts. Copy it, or give artefacts the pool that your program has already. */
#ifndef POOL_H
#define POOL_H

#include <stdint.h>

struct pool;

/* As in the headers of artefacts. */
typedef int32_t (*pool_task)(const void *args, int64_t begin, int64_t end, void *scratch);

/* What pool_for gives where there is no memory for scratch. */
#define POOL_ERROR_MEMORY (-1000001)

/* A pool of so many threads, the calling one among them; NULL where there is no memory, or the system starts no more threads. */
struct pool *pool_new(int threads);

/* Ends its threads. No call may be in progress. */
void pool_free(struct pool *pool);

/* Gives each thread so many bytes of scratch, which pool_for else does when it needs them: 0, or POOL_ERROR_MEMORY. */
int32_t pool_reserve(struct pool *pool, int64_t scratch_bytes);

/* A `parallel_for`; `pool` is a struct pool. Calls of several threads take turns. */
int32_t pool_for(void *pool, pool_task task, const void *args, int64_t tasks, int64_t grain, int64_t scratch_bytes);

#endif
