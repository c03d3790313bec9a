# SPDX-License-Identifier: Apache-2.0
# Warnings and hardening for every target, probed where a compiler may lack one.
include(CheckCCompilerFlag)

function(vault_flag_if_known flag)
  string(MAKE_C_IDENTIFIER "HAVE${flag}" known)
  check_c_compiler_flag(${flag} ${known})
  if(${known})
    add_compile_options(${flag})
    set(VAULT_HARDENING ${VAULT_HARDENING} ${flag} PARENT_SCOPE)
  endif()
endfunction()

add_compile_definitions(_GNU_SOURCE)
add_compile_options(-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes
  -Wpointer-arith -Wwrite-strings -Wcast-qual -Wundef -Wvla -Wformat=2
  -Wnull-dereference -Wno-unused-parameter -fno-strict-aliasing -fno-common)
if(VAULT_WERROR)
  add_compile_options(-Werror)
endif()

# The flags that turn a memory error into a stop instead of an exploit.
vault_flag_if_known(-fstack-protector-strong)
vault_flag_if_known(-fstack-clash-protection)
vault_flag_if_known(-ftrivial-auto-var-init=zero)
vault_flag_if_known(-fcf-protection=full)
vault_flag_if_known(-fzero-call-used-regs=used-gpr)
add_link_options(-Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,--as-needed)
include(CheckPIESupported)
check_pie_supported(LANGUAGES C)

if(VAULT_SANITIZE)
  add_compile_options(-fsanitize=${VAULT_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${VAULT_SANITIZE})
  add_compile_definitions(VAULT_SANITIZED=1)
elseif(CMAKE_BUILD_TYPE STREQUAL "Release" OR CMAKE_BUILD_TYPE STREQUAL "RelWithDebInfo")
  add_compile_definitions(_FORTIFY_SOURCE=2)
endif()
if(VAULT_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
# Assertions guard programmer errors and stay in release builds.
string(REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_RELEASE "${CMAKE_C_FLAGS_RELEASE}")
string(REPLACE "-O3" "-O2 -g" CMAKE_C_FLAGS_RELEASE "${CMAKE_C_FLAGS_RELEASE}")

# Programs are optimised as a whole where gcc builds for release: functions of a
# few instructions (readers of bytes, of frames) are called across every library.
# Objects are built for both ways of linking, so that the tests link quickly. What has
# the property VAULT_WHOLE must not see -fno-lto (a later -flto does not undo it), and
# gcc does not take every hardening flag from the objects.
if(CMAKE_C_COMPILER_ID STREQUAL "GNU" AND CMAKE_BUILD_TYPE STREQUAL "Release" AND NOT VAULT_SANITIZE)
  add_compile_options(-flto=auto -ffat-lto-objects)
  set(is_whole "$<BOOL:$<TARGET_PROPERTY:VAULT_WHOLE>>")
  add_link_options("$<IF:${is_whole},-flto=auto;-O2;${VAULT_HARDENING},-fno-lto>")
endif()

# For the inner build of forward/nginx/trained.cmake only: to count what runs, and to build with
# the counts. What was never run is built for size and put aside.
if(VAULT_TRAINING STREQUAL "record")
  add_compile_options(-fprofile-generate)
  add_link_options(-fprofile-generate)
elseif(VAULT_TRAINING STREQUAL "use")
  add_compile_options(-fprofile-use -Wno-missing-profile)
  add_link_options(-fprofile-use)
endif()
