// SPDX-License-Identifier: Apache-2.0
// Aims at note_parse and note_key_parse. A note that was taken is rebuilt from
// its parts, byte for byte.
#include <stdlib.h>

#include "libvault/audit/note.h"

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t size) {
    struct note note;
    struct note_key key;
    struct bytes bytes = bytes_of(at, size);
    if (vlt_is_ok(note_key_parse(bytes, &key)))
        note_key_done(&key);
    if (!vlt_is_ok(note_parse(bytes, &note)))
        return 0;
    // Each part lies within the input; the text ends where the lines begin.
    if (note.count == 0 || note.text.size >= size || note.text.at != at ||
        note.text.at[note.text.size - 1] != '\n')
        abort();
    for (size_t i = 0; i < note.count; i++)
        if (!note_name_is_valid(note.signatures[i].name) || note.signatures[i].signature.size == 0)
            abort();
    note_done(&note);
    return 0;
}
