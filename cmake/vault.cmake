# SPDX-License-Identifier: Apache-2.0

# vault_library(NAME [LINK ...]): a static library of the .c files beside the
# calling CMakeLists.txt. Headers are included by their path from the root of
# the project: #include "libvault/base/bytes.h".
function(vault_library name)
  cmake_parse_arguments(arg "" "" "LINK" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.c)
  if(NOT sources)
    return()
  endif()
  add_library(${name} STATIC ${sources})
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PUBLIC ${arg_LINK})
endfunction()

# vault_program(NAME [WHOLE] [SOURCES ...] [LINK ...]): an executable of SOURCES, or
# of the .c files beside the calling CMakeLists.txt. WHOLE: requests pass through
# it, so it is optimised as a whole where the compiler can (flags.cmake).
function(vault_program name)
  cmake_parse_arguments(arg "WHOLE" "" "SOURCES;LINK" ${ARGN})
  if(NOT arg_SOURCES)
    file(GLOB arg_SOURCES CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.c)
  endif()
  add_executable(${name} ${arg_SOURCES})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE ${arg_LINK})
  set_target_properties(${name} PROPERTIES VAULT_WHOLE ${arg_WHOLE})
endfunction()

# vault_unit_test(NAME LINK ...): tests/unit/test_NAME.c with cmocka.
function(vault_unit_test name)
  cmake_parse_arguments(arg "" "" "LINK" ${ARGN})
  add_executable(test_${name} ${PROJECT_SOURCE_DIR}/tests/unit/test_${name}.c)
  target_include_directories(test_${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(test_${name} PRIVATE ${arg_LINK} PkgConfig::CMOCKA)
  target_compile_definitions(test_${name} PRIVATE
    VAULT_SOURCE_DIR="${PROJECT_SOURCE_DIR}" VAULT_BUILD_DIR="${PROJECT_BINARY_DIR}")
  add_test(NAME unit.${name} COMMAND test_${name})
  set_tests_properties(unit.${name} PROPERTIES TIMEOUT 300)
endfunction()

# vault_fuzz_target(NAME LINK ...): tests/fuzz/fuzz_NAME.c; its corpus is
# tests/fuzz/corpus/NAME. The target fuzzers is all of them and nothing else.
if(VAULT_FUZZ)
  add_custom_target(fuzzers)
endif()
function(vault_fuzz_target name)
  if(NOT VAULT_FUZZ)
    return()
  endif()
  cmake_parse_arguments(arg "" "" "LINK" ${ARGN})
  add_executable(fuzz_${name} ${PROJECT_SOURCE_DIR}/tests/fuzz/fuzz_${name}.c)
  target_include_directories(fuzz_${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(fuzz_${name} PRIVATE ${arg_LINK})
  target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
  add_dependencies(fuzzers fuzz_${name})
endfunction()
