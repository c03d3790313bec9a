// SPDX-License-Identifier: Apache-2.0
#include "vaultd/keeper/worker.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct job_list {
    struct worker_job *first, **last;
};

struct worker {
    pthread_t thread;
    pthread_mutex_t lock; // of the next three
    pthread_cond_t has_work;
    struct job_list waiting, finished;
    bool is_ending;
    int wake_fd; // eventfd: thread to loop
    struct event *woken;
    size_t pending; // loop's side only, as the next
    bool has_ended;
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
        pthread_mutex_unlock(&worker->lock);
        job->run(job);
        pthread_mutex_lock(&worker->lock);
        list_append(&worker->finished, job);
        // Can only fail when 2^64 wake-ups were not seen.
        ssize_t written = write(worker->wake_fd, &one, sizeof one);
        (void)written;
    }
    pthread_mutex_unlock(&worker->lock);
    return NULL;
}

static void finish_jobs(struct worker *worker) {
    for (;;) {
        pthread_mutex_lock(&worker->lock);
        struct worker_job *job = list_take(&worker->finished);
        pthread_mutex_unlock(&worker->lock);
        if (!job)
            return;
        worker->pending--;
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
    pthread_mutex_destroy(&worker->lock);
    free(worker);
}

vlt_result worker_new(struct event_base *base, struct worker **ret_worker) {
    struct worker *worker = calloc(1, sizeof *worker);
    if (!worker)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    pthread_mutex_init(&worker->lock, NULL);
    pthread_cond_init(&worker->has_work, NULL);
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

void worker_end(struct worker *worker) {
    if (worker->has_ended)
        return;
    pthread_mutex_lock(&worker->lock);
    worker->is_ending = true;
    pthread_cond_signal(&worker->has_work);
    pthread_mutex_unlock(&worker->lock);
    pthread_join(worker->thread, NULL);
    worker->has_ended = true;
    finish_jobs(worker);
}

void worker_free(struct worker *worker) {
    if (!worker)
        return;
    worker_end(worker);
    destroy(worker);
}

void worker_submit(struct worker *worker, struct worker_job *job) {
    worker->pending++;
    if (worker->has_ended) {
        job->run(job);
        worker->pending--;
        job->done(job);
        return;
    }
    pthread_mutex_lock(&worker->lock);
    list_append(&worker->waiting, job);
    pthread_cond_signal(&worker->has_work);
    pthread_mutex_unlock(&worker->lock);
}

size_t worker_pending(const struct worker *worker) {
    return worker->pending;
}
