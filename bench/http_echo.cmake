# SPDX-License-Identifier: Apache-2.0
vault_program(http_echo WHOLE SOURCES http_echo.c LINK vault_net)
