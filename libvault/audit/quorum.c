// SPDX-License-Identifier: Apache-2.0
#include "libvault/audit/quorum.h"

#define WORDS_MAX (QUORUM_NAMES_MAX + 3)

struct line {
    struct bytes words[WORDS_MAX];
    size_t count;
    unsigned number;
    struct fault *fault;
};

static vlt_result wrong(const struct line *line, const char *why) {
    if (line->fault)
        line->fault->line = line->number;
    return fault_set(line->fault, VLT_MALFORMED, "not a policy of signers", "line %u: %s",
                     line->number, why);
}

static size_t word_end(struct bytes text) {
    size_t size = 0;
    while (size < text.size && text.at[size] != ' ' && text.at[size] != '\t')
        size++;
    return size;
}

// Words of a line; none of a comment.
static vlt_result split(struct bytes text, struct line *line) {
    line->count = 0;
    for (size_t i = 0; i < text.size; i++)
        if ((text.at[i] < ' ' && text.at[i] != '\t') || text.at[i] == 0x7f)
            return wrong(line, "a control character, as of a line that ends in CR LF");
    while (text.size && !(line->count && line->words[0].at[0] == '#')) {
        size_t end = word_end(text);
        if (end && line->count == WORDS_MAX)
            return wrong(line, "too many words");
        if (end)
            line->words[line->count++] = bytes_of(text.at, end);
        text = bytes_from(text, end + 1);
    }
    if (line->count && line->words[0].at[0] == '#')
        line->count = 0;
    return vlt_ok();
}

static int find(const struct quorum *quorum, struct bytes name) {
    for (size_t i = 0; i < quorum->name_count; i++)
        if (bytes_equal_text(name, quorum->names[i].name))
            return (int)i;
    return -1;
}

// Whatever a key is called: who has it is one.
static bool is_one_key(const struct note_key *a, const struct note_key *b) {
    return bytes_equal(bytes_of(a->public_key, sizeof a->public_key),
                       bytes_of(b->public_key, sizeof b->public_key));
}

static vlt_result take_log(struct quorum *quorum, const struct line *line) {
    if (line->count < 2 || line->count > 3)
        return wrong(line, "expected: log VKEY [URL]");
    if (quorum->log_count == QUORUM_LOGS_MAX)
        return wrong(line, "too many logs");
    struct note_key *key = &quorum->logs[quorum->log_count];
    if (!vlt_is_ok(note_key_parse(line->words[1], key)))
        return wrong(line, "not a verifier key");
    for (size_t i = 0; i < quorum->log_count; i++)
        if (is_one_key(&quorum->logs[i], key))
            return wrong(line, "this key is another log's already");
    quorum->log_count++;
    return key->type == NOTE_ED25519 ? vlt_ok() : wrong(line, "not the key of a log");
}

// A new name of a witness or a group.
static vlt_result new_name(struct quorum *quorum, const struct line *line,
                           struct quorum_name **ret_name) {
    if (quorum->name_count == QUORUM_NAMES_MAX)
        return wrong(line, "too many witnesses and groups");
    struct quorum_name *name = &quorum->names[quorum->name_count];
    *name = (struct quorum_name){.is_witness = false};
    if (bytes_equal_text(line->words[1], "none") || find(quorum, line->words[1]) >= 0 ||
        !bytes_to_text(line->words[1], name->name, sizeof name->name))
        return wrong(line, "this name is used already, or no name");
    *ret_name = name;
    return vlt_ok();
}

static vlt_result take_witness(struct quorum *quorum, const struct line *line) {
    struct quorum_name *name;
    if (line->count < 3 || line->count > 4)
        return wrong(line, "expected: witness NAME VKEY [URL]");
    VLT_TRY(new_name(quorum, line, &name));
    if (!vlt_is_ok(note_key_parse(line->words[2], &name->key)))
        return wrong(line, "not a verifier key");
    name->is_witness = true;
    for (size_t i = 0; i < quorum->name_count; i++)
        if (quorum->names[i].is_witness && is_one_key(&quorum->names[i].key, &name->key))
            return wrong(line, "this key is another witness's already: nobody counts twice");
    quorum->name_count++;
    return name->key.type == NOTE_COSIGNATURE ? vlt_ok() : wrong(line, "not the key of a witness");
}

static bool take_threshold(struct bytes word, unsigned members, unsigned *ret_threshold) {
    uint64_t number;
    if (bytes_equal_text(word, "any"))
        number = 1;
    else if (bytes_equal_text(word, "all"))
        number = members;
    else if (!vlt_is_ok(checkpoint_number_parse(word, &number)))
        return false;
    *ret_threshold = (unsigned)number;
    return number >= 1 && number <= members;
}

static vlt_result take_group(struct quorum *quorum, const struct line *line) {
    struct quorum_name *name;
    if (line->count < 4)
        return wrong(line, "expected: group NAME k|any|all MEMBER…");
    VLT_TRY(new_name(quorum, line, &name));
    for (size_t i = 3; i < line->count; i++) {
        int member = find(quorum, line->words[i]);
        if (member < 0 || quorum->names[member].is_member)
            return wrong(line, "a member is not known, or is a member already");
        quorum->names[member].is_member = true;
        name->members |= UINT64_C(1) << member;
    }
    if (!take_threshold(line->words[2], (unsigned)line->count - 3, &name->threshold))
        return wrong(line, "expected any, all, or a number of members");
    quorum->name_count++;
    return vlt_ok();
}

static vlt_result take_quorum(struct quorum *quorum, const struct line *line, bool *has_quorum) {
    if (line->count != 2 || *has_quorum)
        return wrong(line, "expected once: quorum NAME|none");
    *has_quorum = true;
    quorum->wanted = bytes_equal_text(line->words[1], "none") ? -1 : find(quorum, line->words[1]);
    return quorum->wanted >= 0 || bytes_equal_text(line->words[1], "none")
               ? vlt_ok()
               : wrong(line, "this name is not known");
}

static vlt_result take_line(struct quorum *quorum, const struct line *line, bool *has_quorum) {
    struct bytes kind = line->words[0];
    if (bytes_equal_text(kind, "log"))
        return take_log(quorum, line);
    if (bytes_equal_text(kind, "witness"))
        return take_witness(quorum, line);
    if (bytes_equal_text(kind, "group"))
        return take_group(quorum, line);
    if (bytes_equal_text(kind, "quorum"))
        return take_quorum(quorum, line, has_quorum);
    return wrong(line, "expected log, witness, group or quorum");
}

static vlt_result parse(struct bytes text, struct fault *fault, struct quorum *quorum) {
    bool has_quorum = false;
    struct line line = {.fault = fault};
    for (; text.size; text = bytes_from(text, bytes_find(text, '\n') + 1)) {
        line.number++;
        VLT_TRY(split(bytes_of(text.at, bytes_find(text, '\n')), &line));
        if (line.count)
            VLT_TRY(take_line(quorum, &line, &has_quorum));
    }
    line.number++; // behind the last
    return !quorum->log_count ? wrong(&line, "there is no line log before the end")
           : !has_quorum      ? wrong(&line, "there is no line quorum before the end")
                              : vlt_ok();
}

vlt_result quorum_parse(struct bytes text, struct fault *fault, struct quorum *ret_quorum) {
    struct quorum quorum = {.wanted = -1};
    if (text.size > QUORUM_FILE_MAX)
        return vlt_fail(VLT_LIMIT, "a policy of signers is too long");
    vlt_result result = parse(text, fault, &quorum);
    if (vlt_is_ok(result))
        *ret_quorum = quorum;
    else
        quorum_done(&quorum);
    return result;
}

void quorum_done(struct quorum *quorum) {
    // Also what was parsed last before a failure: unused places hold no key.
    for (size_t i = 0; i < QUORUM_LOGS_MAX; i++)
        note_key_done(&quorum->logs[i]);
    for (size_t i = 0; i < QUORUM_NAMES_MAX; i++)
        note_key_done(&quorum->names[i].key);
}

// ---- Verify ----

// Bits of the names that signed; groups come after their members.
static vlt_result who_signed(const struct quorum *quorum, const struct note *note,
                             uint64_t *ret_signed) {
    uint64_t is_signed = 0;
    for (size_t i = 0; i < quorum->name_count; i++) {
        const struct quorum_name *name = &quorum->names[i];
        bool counts = (unsigned)__builtin_popcountll(name->members & is_signed) >= name->threshold;
        if (name->is_witness) {
            vlt_result result = note_verify(note, &name->key, 1, NULL);
            if (!vlt_is_ok(result) && result.class != VLT_NOT_FOUND)
                return result;
            counts = vlt_is_ok(result);
        }
        is_signed |= (uint64_t)counts << i;
    }
    *ret_signed = is_signed;
    return vlt_ok();
}

static vlt_result verify(const struct quorum *quorum, const struct note *note,
                         struct checkpoint *ret_checkpoint) {
    uint64_t is_signed;
    uint64_t logs;
    struct checkpoint checkpoint;
    VLT_TRY(note_verify(note, quorum->logs, quorum->log_count, &logs));
    VLT_TRY(who_signed(quorum, note, &is_signed));
    if (quorum->wanted >= 0 && !(is_signed >> quorum->wanted & 1))
        return vlt_fail(VLT_NOT_FOUND, "too few witnesses cosigned the checkpoint");
    VLT_TRY(checkpoint_parse(note->text, &checkpoint));
    for (size_t i = 0; i < quorum->log_count; i++)
        if ((logs >> i & 1) && strcmp(checkpoint.origin, quorum->logs[i].name) == 0) {
            *ret_checkpoint = checkpoint;
            return vlt_ok();
        }
    return vlt_fail(VLT_CRYPTO, "the checkpoint of another log");
}

vlt_result quorum_open(const struct quorum *quorum, struct bytes bytes,
                       struct checkpoint *ret_checkpoint) {
    struct note note;
    VLT_TRY(note_parse(bytes, &note));
    vlt_result result = verify(quorum, &note, ret_checkpoint);
    note_done(&note);
    return result;
}
