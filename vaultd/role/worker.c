// SPDX-License-Identifier: Apache-2.0
#include "vaultd/role/worker.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "libvault/base/clock.h"

struct job_list {
    struct worker_job *first, **last;
};

struct worker {
    pthread_t thread;
    pthread_mutex_t lock; // of the next seven
    pthread_cond_t has_work, has_left;
    struct job_list waiting, finished;
    struct worker_job *running;
    int64_t running_since_ms;
    bool is_ending, is_left; // left: the thread has nothing more to do
    size_t pending;
    int wake_fd; // eventfd: thread to loop
    struct event *woken;
    bool has_ended; // loop's side only
};

static void list_init(struct job_list *list) {
    *list = (struct job_list){NULL, &list->first};
}

static void list_append(struct job_list *list, struct worker_job *job) {
    job->next = NULL;
    *list->last = job;
    list->last = &job->next;
}

static struct worker_job *list_take(struct job_list *list) {
    struct worker_job *job = list->first;
    if (job && !(list->first = job->next))
        list->last = &list->first;
    return job;
}

static void *thread_main(void *context) {
    struct worker *worker = context;
    const uint64_t one = 1;
    pthread_mutex_lock(&worker->lock);
    for (;;) {
        struct worker_job *job = list_take(&worker->waiting);
        if (!job && worker->is_ending)
            break;
        if (!job) {
            pthread_cond_wait(&worker->has_work, &worker->lock);
            continue;
        }
        worker->running = job;
        worker->running_since_ms = clock_elapsed_ms();
        pthread_mutex_unlock(&worker->lock);
        job->run(job);
        pthread_mutex_lock(&worker->lock);
        worker->running = NULL;
        list_append(&worker->finished, job);
        pthread_mutex_unlock(&worker->lock); // whoever is woken wants it
        // Can only fail when 2^64 wake-ups were not seen.
        ssize_t written = write(worker->wake_fd, &one, sizeof one);
        (void)written;
        pthread_mutex_lock(&worker->lock);
    }
    worker->is_left = true;
    pthread_cond_signal(&worker->has_left);
    pthread_mutex_unlock(&worker->lock);
    return NULL;
}

static void finish_jobs(struct worker *worker) {
    for (;;) {
        pthread_mutex_lock(&worker->lock);
        struct worker_job *job = list_take(&worker->finished);
        worker->pending -= job != NULL;
        pthread_mutex_unlock(&worker->lock);
        if (!job)
            return;
        job->done(job);
    }
}

static void on_woken(evutil_socket_t fd, short what, void *context) {
    uint64_t count;
    ssize_t got = read(fd, &count, sizeof count);
    (void)got; // however many: all that is finished is taken
    finish_jobs(context);
}

static bool start_thread(struct worker *worker) {
    // Signals are the main thread's.
    sigset_t all, old;
    sigfillset(&all);
    if (pthread_sigmask(SIG_BLOCK, &all, &old) != 0)
        return false;
    bool is_started = pthread_create(&worker->thread, NULL, thread_main, worker) == 0;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return is_started;
}

static void destroy(struct worker *worker) {
    if (worker->woken)
        event_free(worker->woken);
    if (worker->wake_fd >= 0)
        close(worker->wake_fd);
    pthread_cond_destroy(&worker->has_work);
    pthread_cond_destroy(&worker->has_left);
    pthread_mutex_destroy(&worker->lock);
    free(worker);
}

vlt_result worker_new(struct event_base *base, struct worker **ret_worker) {
    struct worker *worker = calloc(1, sizeof *worker);
    if (!worker)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    pthread_mutex_init(&worker->lock, NULL);
    pthread_cond_init(&worker->has_work, NULL);
    pthread_condattr_t monotonic; // a step of the clock must not make anybody wait
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&worker->has_left, &monotonic);
    pthread_condattr_destroy(&monotonic);
    list_init(&worker->waiting);
    list_init(&worker->finished);
    worker->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    worker->woken = event_new(base, worker->wake_fd, EV_READ | EV_PERSIST, on_woken, worker);
    if (worker->wake_fd < 0 || !worker->woken || event_add(worker->woken, NULL) != 0 ||
        !start_thread(worker)) {
        destroy(worker);
        return vlt_fail(VLT_UNAVAILABLE, "a thread can not be started");
    }
    *ret_worker = worker;
    return vlt_ok();
}

static void ask_to_end(struct worker *worker) {
    pthread_mutex_lock(&worker->lock);
    worker->is_ending = true;
    pthread_cond_signal(&worker->has_work);
    pthread_mutex_unlock(&worker->lock);
}

void worker_end(struct worker *worker) {
    if (worker->has_ended)
        return;
    ask_to_end(worker);
    pthread_join(worker->thread, NULL);
    worker->has_ended = true;
    finish_jobs(worker);
}

bool worker_end_within(struct worker *worker, unsigned within_ms) {
    struct timespec until;
    ask_to_end(worker);
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += within_ms / 1000;
    until.tv_nsec += (long)(within_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    int error = 0;
    pthread_mutex_lock(&worker->lock);
    while (!worker->is_left && !error)
        error = pthread_cond_timedwait(&worker->has_left, &worker->lock, &until);
    bool is_left = worker->is_left;
    pthread_mutex_unlock(&worker->lock);
    if (is_left)
        worker_end(worker);
    return is_left;
}

void worker_free(struct worker *worker) {
    if (!worker)
        return;
    worker_end(worker);
    destroy(worker);
}

void worker_submit(struct worker *worker, struct worker_job *job) {
    if (worker->has_ended) {
        job->run(job);
        job->done(job);
        return;
    }
    pthread_mutex_lock(&worker->lock);
    worker->pending++;
    list_append(&worker->waiting, job);
    pthread_mutex_unlock(&worker->lock);
    pthread_cond_signal(&worker->has_work);
}

struct worker_job *worker_running(struct worker *worker, int64_t *ret_since_ms) {
    pthread_mutex_lock(&worker->lock);
    struct worker_job *job = worker->running;
    if (job)
        *ret_since_ms = worker->running_since_ms;
    pthread_mutex_unlock(&worker->lock);
    return job;
}

struct worker_job *worker_withdraw(struct worker *worker) {
    pthread_mutex_lock(&worker->lock);
    struct worker_job *job = list_take(&worker->waiting);
    worker->pending -= job != NULL;
    pthread_mutex_unlock(&worker->lock);
    return job;
}

size_t worker_pending(struct worker *worker) {
    pthread_mutex_lock(&worker->lock);
    size_t pending = worker->pending;
    pthread_mutex_unlock(&worker->lock);
    return pending;
}
