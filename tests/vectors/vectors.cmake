# SPDX-License-Identifier: Apache-2.0
# The vectors runner: tests/vectors in the build folder.
file(GLOB vectors_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/*.c)
list(FILTER vectors_sources EXCLUDE REGEX "_main\\.c$") # runners of one kind alone
vault_program(vectors SOURCES ${vectors_sources} LINK vault_crypto vault_audit)
# Kinds of other modules: http1.c and cedar.c.
if(EXISTS ${CMAKE_CURRENT_LIST_DIR}/http1.c)
  target_compile_definitions(vectors PRIVATE VECTORS_HAVE_HTTP1=1)
  target_link_libraries(vectors PRIVATE vault_http)
endif()
if(EXISTS ${CMAKE_CURRENT_LIST_DIR}/cedar.c)
  target_compile_definitions(vectors PRIVATE VECTORS_HAVE_CEDAR=1)
  target_link_libraries(vectors PRIVATE vault_policy)
endif()

# vault_vectors_test(KIND PATH...): paths below tests/vectors/data.
function(vault_vectors_test kind)
  list(TRANSFORM ARGN PREPEND ${PROJECT_SOURCE_DIR}/tests/vectors/data/ OUTPUT_VARIABLE paths)
  add_test(NAME vectors.${kind} COMMAND vectors ${kind} ${paths})
  set_tests_properties(vectors.${kind} PROPERTIES TIMEOUT 120)
endfunction()

vault_vectors_test(aead wycheproof/aes_gcm_test.json xaes rfc-own/a128cbc_hs256_test.json
  rfc-own/aes_wrap_test.json)
vault_vectors_test(hkdf wycheproof/hkdf_sha256_test.json wycheproof/hmac_sha256_test.json)
vault_vectors_test(ecdsa wycheproof/ecdsa_secp256r1_sha256_p1363_test.json
  wycheproof/ed25519_test.json wycheproof/rsa_pss_2048_sha256_mgf1_32_test.json)
vault_vectors_test(jwk wycheproof/json_web_key_test.json jose-cookbook/jwk rfc-jose rfc-vectors
  rfc-own/ecdh_secp256r1_webcrypto_test.json)
vault_vectors_test(jws jose-cookbook/jws jose-cookbook/curve25519/jws.json rfc-jose)
vault_vectors_test(jwe jose-cookbook/curve25519/ecdh-es.json jwcrypto)
vault_vectors_test(json json-testsuite/test_parsing)
vault_vectors_test(merkle merkle)
vault_vectors_test(note rfc-vectors)
vault_vectors_test(http1 http1-llhttp http1-own)

# The handwritten cases and the generated ones of the published corpus.
vault_vectors_test(cedar cedar)

# The runner itself: what is empty, torn, mislabelled or wrong must not pass.
add_test(NAME vectors.runner
  COMMAND ${CMAKE_CURRENT_LIST_DIR}/runner_test.py $<TARGET_FILE:vectors>)
set_tests_properties(vectors.runner PROPERTIES TIMEOUT 120)
