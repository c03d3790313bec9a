// SPDX-License-Identifier: Apache-2.0
#include "vaultd/policy/policy_words.h"

#include <string.h>

#define REST "\xE2\x80\xA6" // …
#define REST_ROOM (sizeof " " REST) // kept free, with the NUL

static bool holds(const char *list, struct bytes word) {
    for (const char *at = list; *at; at += strspn(at, " ")) {
        size_t size = strcspn(at, " ");
        if (bytes_equal(bytes_of(at, size), word))
            return true;
        at += size;
    }
    return false;
}

static void add_word(char list[POLICY_WORDS_SIZE], struct bytes word) {
    size_t used = strlen(list);
    if (used + (used > 0) + word.size + REST_ROOM > POLICY_WORDS_SIZE)
        word = BYTES_LITERAL(REST);
    if (holds(list, word))
        return;
    if (used)
        list[used++] = ' ';
    memcpy(list + used, word.at, word.size);
    list[used + word.size] = 0;
}

bool policy_word_of(struct bytes id, char ret_word[POLICY_WORDS_SIZE]) {
    static const char digits[] = "0123456789ABCDEF";
    char word[POLICY_WORDS_SIZE];
    size_t size = 0;
    for (size_t i = 0; i < id.size; i++) {
        uint8_t c = id.at[i];
        if (size + 4 > sizeof word)
            return false;
        if (c > ' ' && c != '%' && c != 0x7f) {
            word[size++] = (char)c;
        } else {
            word[size++] = '%';
            word[size++] = digits[c >> 4];
            word[size++] = digits[c & 15];
        }
    }
    word[size] = 0;
    memcpy(ret_word, word, size + 1);
    return true;
}

void policy_words_add(char list[POLICY_WORDS_SIZE], struct bytes id) {
    char word[POLICY_WORDS_SIZE];
    add_word(list, policy_word_of(id, word) ? bytes_of_text(word) : BYTES_LITERAL(REST));
}

void policy_words_join(char list[POLICY_WORDS_SIZE], const char *more) {
    for (const char *at = more; *at; at += strspn(at, " ")) {
        size_t size = strcspn(at, " ");
        if (size)
            add_word(list, bytes_of(at, size));
        at += size;
    }
}

bool policy_word_is_rest(const char *word) { return strcmp(word, REST) == 0; }
