// SPDX-License-Identifier: Apache-2.0
// Walks every edge of the table in docs/rotation.md, also those that are refused: the
// document is the only place where they are written down.
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "libvault/base/clock.h"
#include "libvault/secret/secret_heap.h"
#include "tests/unit/check.h"
#include "tests/unit/keeper_fixture.h"
#include "vaultd/ipc/rotation_kind.h"
#include "vaultd/keeper/datakey_use.h"
#include "vaultd/keeper/rotation.h"

#define LONG_S 600
#define ROWS_MAX 32
#define CELL_MAX 24
#define WAIT_MS 60000 // only ends a test that hangs

enum column { KEY, STATE, ROTATE, EMERGENCY, DESTROY, TIME, COLUMN_COUNT };
struct row {
    char cells[COLUMN_COUNT][CELL_MAX];
};

// ---- The document ----

static bool read_row(const char *line, struct row *row) {
    for (unsigned i = 0; i < COLUMN_COUNT; i++) {
        int used = 0;
        if (sscanf(line, "| %23[a-z] %n", row->cells[i], &used) != 1 || used == 0)
            return false;
        line += used;
    }
    return true;
}

// The table that follows the mark, without its head.
static size_t read_table(struct row *rows) {
    char line[256];
    size_t count = 0;
    bool is_there = false;
    FILE *file = fopen(VAULT_SOURCE_DIR "/docs/rotation.md", "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        is_there |= strstr(line, "<!-- edges -->") != NULL;
        if (is_there && line[0] == '|' && count < ROWS_MAX)
            count += read_row(line, &rows[count]);
        else if (is_there && count > 0)
            break;
    }
    fclose(file);
    return count;
}

// ---- Asking ----

struct outcome {
    vlt_result result;
    json_t *json; // owned
};

static struct outcome rotate(struct keeper_fixture *f, unsigned kind, unsigned mode) {
    const struct ask_rotate ask = {
        .kind = (uint8_t)kind, .mode = (uint8_t)mode, .tenant = kind == ROTATION_TENANT};
    struct outcome outcome = {.json = NULL};
    outcome.result = fixture_rotate(f, &ask, &outcome.json);
    return outcome;
}

// ---- Looking ----

static bool is_key(const json_t *entry, const char *key) {
    const char *text = json_string_value(json_object_get(entry, "key"));
    return text && strcmp(text, key) == 0;
}

static const char *state_of(struct keeper_fixture *f, unsigned kind, const char *key) {
    struct outcome outcome = rotate(f, kind, ROTATION_LOOK);
    const char *state = "destroyed";
    json_t *entry;
    size_t i;
    assert_true(vlt_is_ok(outcome.result) && outcome.json);
    if (is_key(json_object_get(outcome.json, "active"), key))
        state = "active";
    else if (is_key(json_object_get(outcome.json, "next"), key))
        state = "next";
    json_array_foreach(json_object_get(outcome.json, "retired"), i, entry) if (is_key(entry, key))
        state = "retired";
    json_decref(outcome.json);
    return state;
}

static void key_of(struct keeper_fixture *f, unsigned kind, const char *member, char *key) {
    struct outcome outcome = rotate(f, kind, ROTATION_LOOK);
    const char *text =
        json_string_value(json_object_get(json_object_get(outcome.json, member), "key"));
    assert_non_null(text);
    strcpy(key, text);
    json_decref(outcome.json);
}

static void tick(struct keeper_fixture *f) {
    rotations_tick(f->keeper);
    keeper_fixture_turn(f, 20);
}

// ---- A key in a state ----

struct walk {
    struct keeper_fixture *f;
    unsigned kind;
    char key[80];
    struct datakey_use *use; // what holds the key back
};

// Something that needs the old key is on its way: it stays what it is.
static void hold(struct walk *walk) {
    struct keeper *keeper = walk->f->keeper;
    if (walk->kind == ROTATION_TENANT)
        walk->use = datakey_use_begin(keeper, 1, 1);
    else if (walk->kind == ROTATION_SYSTEM)
        keeper->rotations->is_changing_keys = true;
    else if (walk->kind == ROTATION_WRAPPING)
        keeper->wraps_in_flight++;
}

static void let_go(struct walk *walk) {
    struct keeper *keeper = walk->f->keeper;
    if (walk->kind == ROTATION_TENANT)
        datakey_use_end(keeper, walk->use);
    else if (walk->kind == ROTATION_SYSTEM)
        keeper->rotations->is_changing_keys = false;
    else if (walk->kind == ROTATION_WRAPPING)
        keeper->wraps_in_flight--;
}

static void reach(struct walk *walk, const char *state, bool waits) {
    struct keeper_fixture *f = walk->f;
    struct keeper_settings *settings = &f->keeper->settings;
    uint32_t some_s = waits ? 1 : LONG_S;
    settings->intake_overlap_s = settings->checkpoint_overlap_s = some_s;
    settings->token_max_lifetime_s = some_s;
    // One that is to retire is published for a moment only.
    settings->publication_s = strcmp(state, "retired") == 0 ? 0 : some_s;
    hold(walk);
    key_of(f, walk->kind, "active", walk->key);
    if (strcmp(state, "active") == 0)
        return;
    struct outcome outcome = rotate(f, walk->kind, ROTATION_RUN);
    assert_true(vlt_is_ok(outcome.result));
    json_decref(outcome.json);
    if (strcmp(state, "next") == 0)
        key_of(f, walk->kind, "next", walk->key);
    for (int i = 0; i < 20 && strcmp(state_of(f, walk->kind, walk->key), state) != 0; i++)
        tick(f);
    assert_string_equal(state_of(f, walk->kind, walk->key), state);
}

// ---- What happens to it ----

static void wait_for(struct walk *walk, const char *expected) {
    int64_t until_ms = clock_elapsed_ms() + WAIT_MS;
    let_go(walk);
    for (int i = 0; i < 5; i++) // also when nothing is to change
        tick(walk->f);
    while (strcmp(state_of(walk->f, walk->kind, walk->key), expected) != 0 &&
           clock_elapsed_ms() < until_ms)
        tick(walk->f);
}

static vlt_result act(struct walk *walk, enum column column, const char *expected) {
    if (column == DESTROY)
        return fixture_key_destroy(walk->f, walk->kind, walk->kind == ROTATION_TENANT,
                                   walk->key);
    if (column == TIME) {
        wait_for(walk, expected);
        return vlt_ok();
    }
    struct outcome outcome =
        rotate(walk->f, walk->kind, column == EMERGENCY ? ROTATION_EMERGENCY : ROTATION_RUN);
    json_decref(outcome.json);
    return outcome.result;
}

static unsigned kind_of(const char *name) {
    for (unsigned kind = 1; kind < ROTATION_KIND_COUNT; kind++)
        if (strcmp(rotation_kind_name(kind), name) == 0)
            return kind;
    fail_msg("the document has a key %s", name);
    return 0;
}

static void walk_edge(const struct row *row, enum column column) {
    static struct keeper_fixture fixture;
    static const char *const columns[] = {"", "", "rotate", "emergency", "destroy", "time"};
    const char *expected = row->cells[column], *state = row->cells[STATE];
    bool is_refused = strcmp(expected, "refused") == 0;
    struct walk walk = {.f = &fixture, .kind = kind_of(row->cells[KEY])};
    keeper_fixture_begin(&fixture, HSM_PKCS11);
    keeper_fixture_start(&fixture);
    assert_true(vlt_is_ok(fixture_init(&fixture)));
    reach(&walk, state, column == TIME);
    vlt_result result = act(&walk, column, expected);
    const char *now = state_of(&fixture, walk.kind, walk.key);
    bool was_refused = result.class == VLT_CONFLICT || result.class == VLT_MALFORMED;
    if (was_refused != is_refused || (!is_refused && !vlt_is_ok(result)) ||
        strcmp(now, is_refused ? state : expected) != 0)
        fail_msg("%s key, %s, %s: the document says %s, it is %s (%s)", row->cells[KEY], state,
                 columns[column], expected, now, vlt_is_ok(result) ? "done" : result.reason);
    if (column != TIME)
        let_go(&walk);
    keeper_fixture_end(&fixture);
}

static void rotation_accepts_and_rejects_what_the_document_says(void **state) {
    struct row rows[ROWS_MAX];
    unsigned seen[ROTATION_KIND_COUNT] = {0};
    size_t count = read_table(rows);
    for (size_t i = 0; i < count; i++) {
        seen[kind_of(rows[i].cells[KEY])]++;
        for (unsigned column = ROTATE; column < COLUMN_COUNT; column++)
            walk_edge(&rows[i], column);
    }
    for (unsigned kind = 1; kind < ROTATION_KIND_COUNT; kind++) // none is left out
        assert_int_equal(seen[kind], kind == ROTATION_SIGNING ? 3 : 2);
}

int main(void) {
    struct fault fault = {0};
    if (!vlt_is_ok(secret_heap_open((size_t)16 << 20, &fault))) {
        fprintf(stderr, "%s\n", fault.text);
        return 99;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rotation_accepts_and_rejects_what_the_document_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
