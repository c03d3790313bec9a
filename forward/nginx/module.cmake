# SPDX-License-Identifier: Apache-2.0
# nginx's own configure runs once, with Debian's flags, for ngx_auto_config.h and
# the list of modules: with other flags nginx refuses to load the module.
set(generated ${CMAKE_CURRENT_BINARY_DIR}/nginx)
set(addon ${CMAKE_CURRENT_BINARY_DIR}/addon)
configure_file(config ${addon}/config COPYONLY)
add_custom_command(
  OUTPUT ${generated}/ngx_auto_config.h ${generated}/ngx_http_vault_module_modules.c
  COMMAND bash -c ". ./conf_flags && ./configure --with-cc-opt='-O2 -fPIC' \"\${NGX_CONF_FLAGS[@]}\" --add-dynamic-module=${addon} --builddir=${generated} >${CMAKE_CURRENT_BINARY_DIR}/configure.log"
  WORKING_DIRECTORY ${VAULT_NGINX_SOURCE}
  DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/config
  COMMENT "Configuring nginx's headers" VERBATIM)

add_library(ngx_http_vault_module MODULE vault_body.c vault_cache.c vault_check.c vault_echo.c vault_facts.c
  vault_handler.c vault_inject.c vault_key.c vault_link.c vault_mask.c vault_meter.c vault_module.c vault_open.c vault_pass.c vault_refuse.c
  vault_request_id.c vault_standing.c vault_take.c vault_variables.c vault_watch.c
  ${generated}/ngx_auto_config.h ${generated}/ngx_http_vault_module_modules.c)
set_target_properties(ngx_http_vault_module PROPERTIES PREFIX "" VAULT_WHOLE ON)
# nginx's headers are written in another C than ours: not held to our warnings.
# Its directives return messages as char *.
target_compile_options(ngx_http_vault_module PRIVATE -Wno-write-strings)
set_source_files_properties(${generated}/ngx_http_vault_module_modules.c PROPERTIES COMPILE_OPTIONS -w)
set(headers ${generated})
foreach(folder core event event/modules os/unix http http/modules http/v2)
  list(APPEND headers ${VAULT_NGINX_SOURCE}/src/${folder})
endforeach()
target_include_directories(ngx_http_vault_module SYSTEM PRIVATE ${headers})
target_compile_definitions(ngx_http_vault_module PRIVATE VAULT_PROFILES_DIR="${VAULT_PROFILES_DIR}")
target_link_libraries(ngx_http_vault_module PRIVATE vault_forward PkgConfig::SSL PkgConfig::CRYPTO)
target_link_options(ngx_http_vault_module PRIVATE
  -Wl,--version-script=${CMAKE_CURRENT_SOURCE_DIR}/module.map -Wl,--exclude-libs,ALL)
set_property(TARGET ngx_http_vault_module APPEND PROPERTY LINK_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/module.map)
install(TARGETS ngx_http_vault_module LIBRARY DESTINATION lib/nginx/modules)
