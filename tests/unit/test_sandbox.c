// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/check.h"
#include "vaultd/sandbox/sandbox.h"

// What became of a process that locked itself up as `role` and then did `act`.
typedef void act_fn(void);
static int fate(enum ipc_role role, act_fn *act) {
    pid_t pid = fork();
    if (pid == 0) {
        if (!vlt_is_ok(sandbox_begin(NULL)) || !vlt_is_ok(sandbox_enter(role, NULL)))
            _exit(2);
        act();
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static const enum ipc_role roles[] = {IPC_BROKER, IPC_ADMIN,   IPC_REDEEMER,
                                      IPC_KEEPER, IPC_AUDITOR, IPC_SHIPPER, IPC_ROTATOR};

static void assert_killed(enum ipc_role role, act_fn *act) {
#if defined(VAULT_SANITIZED)
    skip(); // sanitizers need calls that the filter forbids: there is none
#endif
    int status = fate(role, act);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
        fail_msg("role %d: status %x", role, (unsigned)status);
}

static void assert_killed_in_all(act_fn *act) {
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        assert_killed(roles[i], act);
}

static pid_t other;
static void do_nothing(void) {}
static void signal_itself(void) { raise(SIGTERM); }
static void signal_another(void) { syscall(SYS_tgkill, other, other, 0); }
static void kill_another(void) { kill(other, 0); }
static void execute(void) { execl("/bin/true", "true", (char *)NULL); }
static void begin_process(void) { (void)fork(); }

static void sandbox_accepts_what_a_role_needs(void **state) {
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
        assert_int_equal(fate(roles[i], do_nothing), 0);
        int status = fate(roles[i], signal_itself);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    }
}

// A crash left the file there that is written before it gets its name.
static void remove_left_over(void) { (void)unlinkat(AT_FDCWD, "/nonexistent/.new", 0); }
static void sandbox_accepts_removing_where_a_role_replaces_files(void **state) {
    assert_int_equal(fate(IPC_SHIPPER, remove_left_over), 0);
    assert_int_equal(fate(IPC_AUDITOR, remove_left_over), 0);
    assert_killed(IPC_REDEEMER, remove_left_over);
}

static void sandbox_rejects_signals_to_others(void **state) {
    other = getpid();
    assert_killed_in_all(signal_another);
    assert_killed_in_all(kill_another);
}

static void sandbox_rejects_other_programs(void **state) {
    assert_killed_in_all(execute);
    assert_killed_in_all(begin_process);
}

static void open_socket(void) { (void)socket(AF_INET, SOCK_STREAM, 0); }
static void sandbox_rejects_the_network_where_there_is_no_need(void **state) {
    assert_killed(IPC_REDEEMER, open_socket);
    assert_killed(IPC_AUDITOR, open_socket);
}

// What it starts can do neither more nor, before it is a role, less than it must.
static void sandbox_rejects_parts_of_the_kernel_for_all_that_vaultd_starts(void **state) {
#if defined(VAULT_SANITIZED)
    skip(); // see above
#endif
    for (int role = IPC_SUPERVISOR; role < IPC_ROLE_COUNT; role++) {
        struct fault fault = {0};
        int status;
        pid_t pid = fork();
        if (pid == 0) {
            if (!vlt_is_ok(sandbox_begin(&fault)) ||
                !vlt_is_ok(sandbox_enter_supervisor(role % 2, &fault)))
                _exit(1);
            pid_t child = fork();
            if (child == 0) {
                if (unshare(CLONE_NEWUSER) == 0 || errno != ENOSYS)
                    _exit(2);
                _exit(role == IPC_SUPERVISOR || vlt_is_ok(sandbox_enter(role, &fault)) ? 0 : 3);
            }
            _exit(child > 0 && waitpid(child, &status, 0) == child ? WEXITSTATUS(status) : 4);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sandbox_accepts_what_a_role_needs),
        cmocka_unit_test(sandbox_accepts_removing_where_a_role_replaces_files),
        cmocka_unit_test(sandbox_rejects_signals_to_others),
        cmocka_unit_test(sandbox_rejects_other_programs),
        cmocka_unit_test(sandbox_rejects_the_network_where_there_is_no_need),
        cmocka_unit_test(sandbox_rejects_parts_of_the_kernel_for_all_that_vaultd_starts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
