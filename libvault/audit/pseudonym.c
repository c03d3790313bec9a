// SPDX-License-Identifier: Apache-2.0
#include "libvault/audit/pseudonym.h"

#include "libvault/base/b64u.h"
#include "libvault/crypto/digest.h"

#define HASH_BYTES 16
#define ACCOUNT "uid "
#define ACCOUNT_SOURCE "unix "

static bool is_account(struct bytes text) {
    return bytes_begin_with(text, BYTES_LITERAL(ACCOUNT));
}

// "uid 1000" of "uid 1000 (alice)": a name can change. The text itself when it is no
// user of the machine.
static struct bytes account_of(struct bytes text) {
    if (!is_account(text))
        return text;
    struct bytes number = bytes_from(text, sizeof ACCOUNT - 1);
    return bytes_of(text.at, sizeof ACCOUNT - 1 + bytes_find(number, ' '));
}

static vlt_result keep_root(struct bytes text, char room[PSEUDONYM_TEXT_MAX],
                            struct bytes *ret_text) {
    if (!bytes_to_text(text, room, PSEUDONYM_TEXT_MAX))
        return vlt_fail(VLT_LIMIT, "the name of root is too long for a pseudonym");
    *ret_text = bytes_of_text(room);
    return vlt_ok();
}

vlt_result pseudonym_of(struct bytes key, struct bytes whole, char room[PSEUDONYM_TEXT_MAX],
                        struct bytes *ret_text) {
    uint8_t mac[32];
    struct bytes text = account_of(whole);
    size_t bar = bytes_find(text, '|');
    size_t kept = is_account(text) ? sizeof ACCOUNT - 1 : bar < text.size ? bar + 1 : 0;
    if (bytes_equal_text(text, ACCOUNT "0"))
        return keep_root(whole, room, ret_text);
    if (kept + 1 + B64U_SIZE(HASH_BYTES) + 1 > PSEUDONYM_TEXT_MAX)
        return vlt_fail(VLT_LIMIT, "an issuer is too long for a pseudonym");
    VLT_TRY(hmac_sha256_once(key.at, key.size, text, mac));
    memcpy(room, text.at, kept);
    room[kept] = '~';
    b64u_encode_text(bytes_of(mac, HASH_BYTES), room + kept + 1);
    *ret_text = bytes_of_text(room);
    return vlt_ok();
}

static bool is_principal(struct bytes text) {
    return bytes_find(text, '|') < text.size;
}

static void replace(struct bytes key, struct bytes *text, char room[PSEUDONYM_TEXT_MAX]) {
    if (text->size && !vlt_is_ok(pseudonym_of(key, *text, room, text)))
        *text = bytes_of(NULL, 0);
}

// "principal https://issuer|alice": the word before stays.
static void replace_last_word(struct bytes key, struct bytes *text, char room[PSEUDONYM_TEXT_MAX]) {
    char pseudonym[PSEUDONYM_TEXT_MAX];
    size_t begins = bytes_find(*text, ' ') + 1;
    if (begins > text->size)
        begins = 0;
    struct bytes word = bytes_from(*text, begins);
    replace(key, &word, pseudonym);
    if (begins + word.size > PSEUDONYM_TEXT_MAX) {
        *text = bytes_of(NULL, 0);
        return;
    }
    memcpy(room, text->at, begins);
    if (word.size)
        memcpy(room + begins, word.at, word.size);
    *text = bytes_of(room, begins + word.size);
}

void pseudonym_event(struct bytes key, struct audit_event *event, struct pseudonym_room *room) {
    replace(key, &event->principal, room->principal);
    replace(key, &event->actor, room->actor);
    if (is_principal(event->administrator) || is_account(event->administrator))
        replace(key, &event->administrator, room->administrator); // "vaultd" is nobody
    if (is_principal(event->client))
        replace(key, &event->client, room->client);
    if (bytes_begin_with(event->source, BYTES_LITERAL(ACCOUNT_SOURCE)))
        replace_last_word(key, &event->source, room->source);
    else if (!bytes_equal_text(event->source, "unix"))
        replace(key, &event->source, room->source);
    if (is_principal(event->subject))
        replace_last_word(key, &event->subject, room->subject);
}
