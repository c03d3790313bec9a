// SPDX-License-Identifier: Apache-2.0
// Inclusion and consistency proofs of transparency-dev/merkle: JSON with sizes,
// base64 hashes and wantErr.
#include "libvault/audit/merkle.h"
#include "libvault/base/b64u.h"
#include "libvault/base/jsontext.h"
#include "tests/vectors/vectors.h"

// False when the text is not a hash of 32 bytes; then nothing can be proven.
static bool read_hash(const json_t *text, struct merkle_hash *hash) {
    uint8_t room[256];
    size_t size = 0;
    const char *base64 = json_string_value(text);
    if (!base64 || !vlt_is_ok(b64_decode(bytes_of_text(base64), room, sizeof room, &size)) ||
        size != sizeof hash->at)
        return false;
    memcpy(hash->at, room, size);
    return true;
}

static bool read_proof(const json_t *list, struct merkle_proof *proof) {
    size_t count = json_array_size(list);
    if (count > MERKLE_PROOF_MAX)
        return false;
    for (size_t i = 0; i < count; i++)
        if (!read_hash(json_array_get(list, i), &proof->hashes[i]))
            return false;
    proof->count = count;
    return true;
}

// Sizes beyond 2^63 are real numbers, see parse.
static uint64_t number(const json_t *test, const char *member) {
    const json_t *value = json_object_get(test, member);
    if (json_is_integer(value))
        return (uint64_t)json_integer_value(value);
    double real = json_number_value(value);
    return real >= 18446744073709551615.0 ? UINT64_MAX : real > 0 ? (uint64_t)real : 0;
}

// Some sizes wrapped around zero and do not fit what jansson calls an integer.
static json_t *parse(struct bytes content) {
    json_error_t error;
    json_t *test = json_loadb((const char *)content.at, content.size, 0, &error);
    return test ? test
                : json_loadb((const char *)content.at, content.size, JSON_DECODE_INT_AS_REAL,
                             &error);
}

static bool holds(const json_t *test) {
    struct merkle_proof proof;
    struct merkle_hash root, old_root, leaf;
    if (!read_proof(json_object_get(test, "proof"), &proof))
        return false;
    if (json_object_get(test, "leafIdx"))
        return read_hash(json_object_get(test, "leafHash"), &leaf) &&
               read_hash(json_object_get(test, "root"), &root) &&
               vlt_is_ok(merkle_inclusion_verify(&leaf, number(test, "leafIdx"),
                                                 number(test, "treeSize"), &proof, &root));
    return read_hash(json_object_get(test, "root1"), &old_root) &&
           read_hash(json_object_get(test, "root2"), &root) &&
           vlt_is_ok(merkle_consistency_verify(number(test, "size1"), &old_root,
                                               number(test, "size2"), &root, &proof));
}

static void visit(const char *path, struct bytes content) {
    json_t *test = parse(content);
    const json_t *wants_error = json_object_get(test, "wantErr");
    if (!json_is_boolean(wants_error) ||
        (!json_object_get(test, "leafIdx") && !json_object_get(test, "size1")))
        vectors_fail(path, "not a vector of a Merkle proof");
    else
        vectors_judge(path, json_string_value(json_object_get(test, "desc")),
                      json_is_true(wants_error) ? "invalid" : "valid", holds(test));
    json_decref(test);
}

int vectors_merkle(int count, char **paths) {
    static const char *const suffixes[] = {".json", NULL};
    return vectors_walk(count, paths, suffixes, visit);
}
