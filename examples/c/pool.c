#include "pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

/* How often a thread looks for work, or for the end of it, before it sleeps: launches follow each other within microseconds. */
#define LOOKS 2000

/* How many chunks a thread gets of a launch, so that those that are slower can take fewer. */
#define CHUNKS 4

#define ALIGNMENT 64

struct job {
    pool_task task;
    const void *args;
    int64_t tasks, chunk, chunks;
};

struct worker {
    struct pool *pool;
    void *scratch;
    pthread_t thread;
};

struct pool {
    /* held by the thread whose launch runs */
    pthread_mutex_t turn;
    pthread_mutex_t lock;
    pthread_cond_t started, finished;
    int threads;
    struct worker *workers; /* the first is the calling thread */
    int64_t scratch_bytes;
    struct job job;
    bool stop;
    atomic_uint launches; /* so far */
    atomic_int busy;      /* workers that have not finished this launch */
    atomic_llong next;    /* chunk that nobody has taken */
    atomic_int result;    /* of the first task that failed */
};

static void run_chunks(struct pool *pool, void *scratch) {
    const struct job job = pool->job;
    while (atomic_load(&pool->result) == 0) {
        int64_t chunk = atomic_fetch_add(&pool->next, 1);
        if (chunk >= job.chunks) return;
        int64_t begin = chunk * job.chunk;
        int64_t end = job.tasks - begin > job.chunk ? begin + job.chunk : job.tasks;
        int none = 0, result = job.task(job.args, begin, end, scratch);
        if (result != 0) atomic_compare_exchange_strong(&pool->result, &none, result);
    }
}

/* Waits until there is another launch than `seen`; gives its number. */
static unsigned next_launch(struct pool *pool, unsigned seen) {
    for (int look = 0; look < LOOKS; look++)
        if (atomic_load(&pool->launches) != seen) break;
    pthread_mutex_lock(&pool->lock);
    while (atomic_load(&pool->launches) == seen) pthread_cond_wait(&pool->started, &pool->lock);
    seen = atomic_load(&pool->launches);
    pthread_mutex_unlock(&pool->lock);
    return seen;
}

static void *work(void *argument) {
    struct worker *worker = argument;
    struct pool *pool = worker->pool;
    for (unsigned seen = 0;;) {
        seen = next_launch(pool, seen);
        if (pool->stop) return NULL;
        run_chunks(pool, worker->scratch);
        if (atomic_fetch_sub(&pool->busy, 1) > 1) continue;
        pthread_mutex_lock(&pool->lock);
        pthread_cond_signal(&pool->finished);
        pthread_mutex_unlock(&pool->lock);
    }
}

static void launch(struct pool *pool) {
    atomic_store(&pool->busy, pool->threads - 1);
    pthread_mutex_lock(&pool->lock);
    atomic_fetch_add(&pool->launches, 1);
    pthread_cond_broadcast(&pool->started);
    pthread_mutex_unlock(&pool->lock);
}

static void wait_for_workers(struct pool *pool) {
    for (int look = 0; look < LOOKS; look++)
        if (atomic_load(&pool->busy) == 0) return;
    pthread_mutex_lock(&pool->lock);
    while (atomic_load(&pool->busy) > 0) pthread_cond_wait(&pool->finished, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}

static int32_t grow(struct pool *pool, int64_t bytes) {
    if (bytes <= pool->scratch_bytes) return 0;
    size_t whole = ((size_t)bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    pool->scratch_bytes = 0;
    for (int at = 0; at < pool->threads; at++) {
        free(pool->workers[at].scratch);
        pool->workers[at].scratch = NULL;
    }
    for (int at = 0; at < pool->threads; at++)
        if (!(pool->workers[at].scratch = aligned_alloc(ALIGNMENT, whole))) return POOL_ERROR_MEMORY;
    pool->scratch_bytes = bytes;
    return 0;
}

int32_t pool_reserve(struct pool *pool, int64_t scratch_bytes) {
    pthread_mutex_lock(&pool->turn);
    int32_t result = grow(pool, scratch_bytes);
    pthread_mutex_unlock(&pool->turn);
    return result;
}

/* Chunks are multiples of the grain, and so are their starts. */
static struct job divided(const struct pool *pool, pool_task task, const void *args, int64_t tasks, int64_t grain) {
    int64_t grains = (tasks - 1) / grain + 1;
    int64_t each = (grains - 1) / ((int64_t)pool->threads * CHUNKS) + 1;
    return (struct job){task, args, tasks, each * grain, (grains - 1) / each + 1};
}

int32_t pool_for(void *argument, pool_task task, const void *args, int64_t tasks, int64_t grain, int64_t scratch_bytes) {
    struct pool *pool = argument;
    if (tasks <= 0) return 0;
    pthread_mutex_lock(&pool->turn);
    int32_t result = grow(pool, scratch_bytes);
    if (result == 0) {
        pool->job = divided(pool, task, args, tasks, grain < 1 ? 1 : grain);
        atomic_store(&pool->next, 0);
        atomic_store(&pool->result, 0);
        launch(pool);
        run_chunks(pool, pool->workers[0].scratch);
        wait_for_workers(pool);
        result = atomic_load(&pool->result);
    }
    pthread_mutex_unlock(&pool->turn);
    return result;
}

/* Ends the first `started` threads, the calling one among them, and gives all memory back. */
static void end(struct pool *pool, int started) {
    pool->stop = true;
    launch(pool);
    for (int at = 1; at < started; at++) pthread_join(pool->workers[at].thread, NULL);
    for (int at = 0; at < pool->threads; at++) free(pool->workers[at].scratch);
    pthread_cond_destroy(&pool->finished);
    pthread_cond_destroy(&pool->started);
    pthread_mutex_destroy(&pool->lock);
    pthread_mutex_destroy(&pool->turn);
    free(pool->workers);
    free(pool);
}

struct pool *pool_new(int threads) {
    struct pool *pool = calloc(1, sizeof *pool);
    if (!pool) return NULL;
    pool->threads = threads < 1 ? 1 : threads;
    pool->workers = calloc((size_t)pool->threads, sizeof *pool->workers);
    if (!pool->workers) {
        free(pool);
        return NULL;
    }
    pthread_mutex_init(&pool->turn, NULL);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->started, NULL);
    pthread_cond_init(&pool->finished, NULL);
    for (int at = 1; at < pool->threads; at++) {
        pool->workers[at].pool = pool;
        if (pthread_create(&pool->workers[at].thread, NULL, work, &pool->workers[at]) == 0) continue;
        end(pool, at);
        return NULL;
    }
    return pool;
}

void pool_free(struct pool *pool) {
    if (pool) end(pool, pool->threads);
}
