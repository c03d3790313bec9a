// SPDX-License-Identifier: Apache-2.0
#include "tests/devices/tabrmd.h"

#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define NAME "com.intel.tss2.Tabrmd"

// --- the bus ----------------------------------------------------------------

static char bus_folder[64];
static pid_t bus;

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at) {
    return remove(path);
}

static void bus_end(void) {
    device_fixture_kill(&bus);
    nftw(bus_folder, remove_one, 4, FTW_DEPTH | FTW_PHYS);
}

static void bus_start(void) {
    char text[512], conf[80], option[100], address[100];
    if (bus_folder[0])
        return;
    snprintf(bus_folder, sizeof bus_folder, "/tmp/vault-bus-XXXXXX");
    if (!mkdtemp(bus_folder))
        device_fixture_give_up("cannot make", bus_folder);
    (void)atexit(bus_end);
    snprintf(text, sizeof text,
             "<busconfig><type>session</type><listen>unix:path=%s/bus</listen>"
             "<auth>EXTERNAL</auth><policy context=\"default\"><allow own=\"*\"/>"
             "<allow send_destination=\"*\"/><allow receive_sender=\"*\"/></policy></busconfig>\n",
             bus_folder);
    snprintf(conf, sizeof conf, "%s/bus.conf", bus_folder);
    snprintf(option, sizeof option, "--config-file=%s", conf);
    snprintf(address, sizeof address, "unix:path=%s/bus", bus_folder);
    FILE *file = fopen(conf, "we");
    if (!file || fputs(text, file) < 0 || fclose(file))
        device_fixture_give_up("cannot write", conf);
    const char *const argv[] = {"dbus-daemon", option, "--nofork", NULL};
    bus = device_fixture_spawn(argv, NULL);
    for (unsigned i = 0; !device_fixture_listens(address + strlen("unix:path=")); i++) {
        if (i == 1000)
            device_fixture_give_up("dbus-daemon does not start with", conf);
        poll(NULL, 0, 10);
    }
    setenv("DBUS_SESSION_BUS_ADDRESS", address, 1);
}

// --- the manager --------------------------------------------------------------

static bool answers(void) {
    const char *const argv[] = {"dbus-send", "--session", "--print-reply", "--dest=" NAME, "/",
                                "org.freedesktop.DBus.Peer.Ping", NULL};
    return !device_fixture_run(argv);
}

void tabrmd_start(struct device_fixture *fixture) {
    char tcti[128], log[96];
    bus_start();
    snprintf(tcti, sizeof tcti, "--tcti=swtpm:path=%s/tpm.sock", fixture->folder);
    snprintf(log, sizeof log, "%s/tabrmd.log", fixture->folder);
    const char *const argv[] = {"tpm2-abrmd", "--session", "--allow-root", tcti, NULL};
    fixture->tabrmd = device_fixture_spawn(argv, log);
    for (unsigned i = 0; i < 1000; i++) {
        if (answers())
            return;
        poll(NULL, 0, 10);
    }
    device_fixture_give_up("tpm2-abrmd does not start, see", log);
}

void tabrmd_kill(struct device_fixture *fixture) {
    device_fixture_kill(&fixture->tabrmd);
}
