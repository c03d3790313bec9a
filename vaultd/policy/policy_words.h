// SPDX-License-Identifier: Apache-2.0
// The policies that determined a decision, as entries of the audit log name them: ids
// as words, joined by a space, each once. An id may be any text; what would not be a
// word in it (white space, control characters, "%") is written as %XX. Where a list
// has no room for an id it has the word "…" instead.
//
// Any thread; written by whoever decides, read by `vaultctl audit`.
#ifndef VLT_POLICY_POLICY_WORDS_H
#define VLT_POLICY_POLICY_WORDS_H

#include "libvault/base/bytes.h"

#define POLICY_WORDS_SIZE 1024 // of a list, with its NUL

// Adds the id unless the list has it.
void policy_words_add(char list[POLICY_WORDS_SIZE], struct bytes id);
// Adds the words of another list.
void policy_words_join(char list[POLICY_WORDS_SIZE], const char *more);
// The word of an id; false, and nothing is written: longer than any list.
bool policy_word_of(struct bytes id, char ret_word[POLICY_WORDS_SIZE]);
// Is it the word that stands for ids without room?
bool policy_word_is_rest(const char *word);

#endif
