/* One queue and one set of threads per class; finished jobs go to a list that the loop empties
 * when an async handle wakes it. A job is on exactly one list at any time. */
#include "base/worker.h"

#include "base/list.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#define BULK_NICE 10

struct job {
    struct list link;
    work_fn work, done;
    void *data;
    enum work_class class;
};

struct queue {
    struct worker_pool *pool;
    enum work_class class;
    pthread_cond_t wake;
    struct list jobs;
    pthread_t *threads;
    int n_threads;
    _Atomic int depth;
};

struct worker_pool {
    pthread_mutex_t lock; /* guards the lists below and is_stopping */
    struct queue queues[WORK_CLASS_COUNT];
    struct list finished;
    bool is_stopping;
    uv_async_t async;
};

static void *thread_main(void *data)
{
    struct queue *queue = data;
    struct worker_pool *pool = queue->pool;
    if (queue->class == WORK_BULK)
        setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), BULK_NICE);

    pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (list_empty(&queue->jobs) && !pool->is_stopping)
            pthread_cond_wait(&queue->wake, &pool->lock);
        if (pool->is_stopping)
            break;
        struct job *job = list_first(&queue->jobs, struct job, link);
        list_remove(&job->link);
        pthread_mutex_unlock(&pool->lock);
        job->work(job->data);
        pthread_mutex_lock(&pool->lock);
        list_append(&pool->finished, &job->link);
        uv_async_send(&pool->async);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

static void run_finished(struct worker_pool *pool)
{
    for (;;) {
        pthread_mutex_lock(&pool->lock);
        struct job *job = NULL;
        if (!list_empty(&pool->finished)) {
            job = list_first(&pool->finished, struct job, link);
            list_remove(&job->link);
        }
        pthread_mutex_unlock(&pool->lock);
        if (!job)
            return;
        pool->queues[job->class].depth--;
        if (job->done)
            job->done(job->data);
        free(job);
    }
}

static void handle_async(uv_async_t *async)
{
    run_finished(async->data);
}

static int queue_start(struct queue *queue, int n_threads)
{
    queue->threads = calloc((size_t)n_threads, sizeof *queue->threads);
    if (!queue->threads)
        return -ENOMEM;
    /* Signals belong to the loop's thread. */
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    for (int i = 0; i < n_threads; i++) {
        if (pthread_create(&queue->threads[i], NULL, thread_main, queue) != 0)
            break;
        queue->n_threads++;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return queue->n_threads == n_threads ? 0 : -EAGAIN;
}

struct worker_pool *worker_pool_new(struct loop *loop, int n_latency, int n_bulk)
{
    struct worker_pool *self = calloc(1, sizeof *self);
    if (!self)
        return NULL;
    pthread_mutex_init(&self->lock, NULL);
    list_init(&self->finished);
    uv_async_init(&loop->uv, &self->async, handle_async);
    self->async.data = self;

    long n_cpus = sysconf(_SC_NPROCESSORS_ONLN);
    int counts[WORK_CLASS_COUNT] = { n_latency > 0 ? n_latency : (int)MAX(n_cpus, 1),
                                     n_bulk > 0 ? n_bulk : 2 };
    int r = 0;
    for (int i = 0; i < WORK_CLASS_COUNT; i++) {
        struct queue *queue = &self->queues[i];
        queue->pool = self;
        queue->class = (enum work_class)i;
        pthread_cond_init(&queue->wake, NULL);
        list_init(&queue->jobs);
        if (r == 0)
            r = queue_start(queue, counts[i]);
    }
    return r < 0 ? worker_pool_free(self) : self;
}

static void handle_pool_closed(uv_handle_t *handle)
{
    free(handle->data);
}

struct worker_pool *worker_pool_free(struct worker_pool *self)
{
    if (!self)
        return NULL;
    pthread_mutex_lock(&self->lock);
    self->is_stopping = true;
    for (int i = 0; i < WORK_CLASS_COUNT; i++)
        pthread_cond_broadcast(&self->queues[i].wake);
    pthread_mutex_unlock(&self->lock);
    for (int i = 0; i < WORK_CLASS_COUNT; i++) {
        struct queue *queue = &self->queues[i];
        for (int t = 0; t < queue->n_threads; t++)
            pthread_join(queue->threads[t], NULL);
        free(queue->threads);
        while (!list_empty(&queue->jobs)) {
            struct job *job = list_first(&queue->jobs, struct job, link);
            list_remove(&job->link);
            list_append(&self->finished, &job->link);
        }
        pthread_cond_destroy(&queue->wake);
    }
    run_finished(self);
    pthread_mutex_destroy(&self->lock);
    uv_close((uv_handle_t *)&self->async, handle_pool_closed);
    return NULL;
}

int worker_submit(struct worker_pool *self, enum work_class class, work_fn work, work_fn done,
                  void *data)
{
    struct job *job = calloc(1, sizeof *job);
    if (!job)
        return -ENOMEM;
    job->work = work;
    job->done = done;
    job->data = data;
    job->class = class;
    struct queue *queue = &self->queues[class];
    queue->depth++;
    pthread_mutex_lock(&self->lock);
    list_append(self->is_stopping ? &self->finished : &queue->jobs, &job->link);
    pthread_cond_signal(&queue->wake);
    pthread_mutex_unlock(&self->lock);
    return 0;
}

int worker_depth(const struct worker_pool *self, enum work_class class)
{
    return self->queues[class].depth;
}
