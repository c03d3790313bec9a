// SPDX-License-Identifier: Apache-2.0
// Inclusion and consistency proofs of transparency-dev/merkle: JSON with sizes, base64
// hashes and wantErr; an object of it, or such objects anywhere in a file.
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
static bool read_number(const json_t *test, const char *member, uint64_t *ret_number) {
    const json_t *value = json_object_get(test, member);
    double real = json_number_value(value);
    if (json_is_integer(value))
        *ret_number = (uint64_t)json_integer_value(value);
    else
        *ret_number = real >= 18446744073709551615.0 ? UINT64_MAX : real > 0 ? (uint64_t)real : 0;
    return json_is_number(value);
}

// Some sizes wrapped around zero and do not fit what jansson calls an integer.
static json_t *parse(struct bytes content) {
    json_t *test = json_loadb((const char *)content.at, content.size, 0, NULL);
    return test ? test
                : json_loadb((const char *)content.at, content.size, JSON_DECODE_INT_AS_REAL, NULL);
}

static bool is_hash_text(const json_t *text) {
    return json_is_string(text) || json_is_null(text);
}

static bool has_proof(const json_t *test) {
    const json_t *proof = json_object_get(test, "proof");
    return json_is_array(proof) || json_is_null(proof);
}

// Roots of trees of one size are only compared with each other. Some published
// ones are no hashes but words; these are compared by their hashes.
static bool read_roots(const json_t *test, bool are_one_size, struct merkle_hash *old_root,
                       struct merkle_hash *root) {
    const json_t *first = json_object_get(test, "root1"), *second = json_object_get(test, "root2");
    if (read_hash(first, old_root) && read_hash(second, root))
        return true;
    return are_one_size && json_is_string(first) && json_is_string(second) &&
           vlt_is_ok(merkle_leaf(bytes_of_text(json_string_value(first)), old_root)) &&
           vlt_is_ok(merkle_leaf(bytes_of_text(json_string_value(second)), root));
}

// Both return whether the file is such a vector, and set *ret_holds.
static bool read_inclusion(const json_t *test, bool *ret_holds) {
    const json_t *leaf_text = json_object_get(test, "leafHash"),
                 *root_text = json_object_get(test, "root");
    struct merkle_proof proof;
    struct merkle_hash root, leaf;
    uint64_t index, size;
    if (!read_number(test, "leafIdx", &index) || !read_number(test, "treeSize", &size) ||
        !is_hash_text(leaf_text) || !is_hash_text(root_text) || !has_proof(test))
        return false;
    *ret_holds = read_proof(json_object_get(test, "proof"), &proof) &&
                 read_hash(leaf_text, &leaf) && read_hash(root_text, &root) &&
                 vlt_is_ok(merkle_inclusion_verify(&leaf, index, size, &proof, &root));
    return true;
}

static bool read_consistency(const json_t *test, bool *ret_holds) {
    struct merkle_proof proof;
    struct merkle_hash old_root, root;
    uint64_t old_size, size;
    if (!read_number(test, "size1", &old_size) || !read_number(test, "size2", &size) ||
        !is_hash_text(json_object_get(test, "root1")) ||
        !is_hash_text(json_object_get(test, "root2")) || !has_proof(test))
        return false;
    *ret_holds = read_proof(json_object_get(test, "proof"), &proof) &&
                 read_roots(test, old_size == size, &old_root, &root) &&
                 vlt_is_ok(merkle_consistency_verify(old_size, &old_root, size, &root, &proof));
    return true;
}

// False: that object is no vector.
static bool judge(const char *path, const json_t *test) {
    const json_t *wants_error = json_object_get(test, "wantErr"),
                 *about = json_object_get(test, "desc");
    bool holds = false;
    if (!json_is_boolean(wants_error))
        return false;
    if (json_object_get(test, "start") && json_object_get(test, "end")) {
        vectors_skip(path, 1, "a proof about a subtree: we neither make nor take them");
        return true;
    }
    if (!read_inclusion(test, &holds) && !read_consistency(test, &holds))
        return false;
    vectors_judge(path, json_is_string(about) ? json_string_value(about) : "proof",
                  json_is_true(wants_error) ? "invalid" : "valid", holds);
    return true;
}

static unsigned find_proofs(const char *path, json_t *at) {
    const char *member;
    json_t *value;
    size_t i;
    unsigned found = 0;
    if (json_is_object(at) && judge(path, at))
        return 1;
    json_object_foreach(at, member, value) found += find_proofs(path, value);
    json_array_foreach(at, i, value) found += find_proofs(path, value);
    return found;
}

static void visit(const char *path, struct bytes content) {
    json_t *root = parse(content);
    if (!find_proofs(path, root))
        vectors_foreign(path, root != NULL, "not a vector of a Merkle proof");
    json_decref(root);
}

void vectors_merkle(int count, char **paths) {
    static const char *const suffixes[] = {".json", NULL};
    vectors_walk(count, paths, suffixes, visit);
}
