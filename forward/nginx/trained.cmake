# SPDX-License-Identifier: Apache-2.0
# The module that is installed: built in a tree of its own, run by nginx with the
# requests of forward/nginx/train, and built again with what had run. Most of what the
# module adds to a request is code that the processor has to fetch; with the counts the
# compiler puts what runs together and the rest aside (bench/README.md says what it gives).
#
# Both builds use one tree, because gcc finds the counts beside the objects.
set(tree ${PROJECT_BINARY_DIR}/trained)
set(module ${tree}/forward/nginx/ngx_http_vault_module.so)
file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/forward/*.[ch] ${PROJECT_SOURCE_DIR}/forward/profiles/*.json
  ${PROJECT_SOURCE_DIR}/libvault/base/*.[ch])
set(inner ${CMAKE_COMMAND} -S ${PROJECT_SOURCE_DIR} -B ${tree} -G Ninja --log-level=WARNING
  -DCMAKE_BUILD_TYPE=Release -DCMAKE_C_COMPILER=${CMAKE_C_COMPILER} -DCMAKE_C_FLAGS=${CMAKE_C_FLAGS}
  -DCMAKE_C_COMPILER_LAUNCHER=${CMAKE_C_COMPILER_LAUNCHER} -DCMAKE_INSTALL_PREFIX=${CMAKE_INSTALL_PREFIX}
  -DVAULT_NGINX=${VAULT_NGINX} -DVAULT_NGINX_SOURCE=${VAULT_NGINX_SOURCE} -DVAULT_WERROR=${VAULT_WERROR}
  -DVAULT_TRAINED=OFF)
set(build ${CMAKE_COMMAND} --build ${tree} --target ngx_http_vault_module -- --quiet)
add_custom_command(
  OUTPUT ${module}
  COMMAND ${CMAKE_COMMAND} -E rm -rf ${tree} # counts of other code are of no use
  COMMAND ${inner} -DVAULT_TRAINING=record
  COMMAND ${build}
  COMMAND ${CMAKE_COMMAND} -E env VAULT_NGINX=${VAULT_NGINX} ${CMAKE_CURRENT_SOURCE_DIR}/train ${module} ${PROJECT_SOURCE_DIR}/forward/profiles
  COMMAND ${inner} -DVAULT_TRAINING=use
  COMMAND ${build}
  DEPENDS ${sources} CMakeLists.txt config module.map train trained.cmake ${PROJECT_SOURCE_DIR}/cmake/flags.cmake
    ${PROJECT_SOURCE_DIR}/tests/scenario/nginx/standins.py
  COMMENT "Building the nginx module, running it, and building it again with what ran" VERBATIM)
add_custom_target(trained_module ALL DEPENDS ${module})
add_library(ngx_http_vault_module MODULE IMPORTED)
set_target_properties(ngx_http_vault_module PROPERTIES IMPORTED_LOCATION ${module})
add_dependencies(ngx_http_vault_module trained_module)
install(IMPORTED_RUNTIME_ARTIFACTS ngx_http_vault_module LIBRARY DESTINATION lib/nginx/modules)
