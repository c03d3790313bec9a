# SPDX-License-Identifier: Apache-2.0
# The vectors runner: tests/vectors in the build folder.
file(GLOB vectors_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/*.c)
list(FILTER vectors_sources EXCLUDE REGEX "_main\\.c$") # runners of one kind alone
vault_program(vectors SOURCES ${vectors_sources} LINK vault_crypto)
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
