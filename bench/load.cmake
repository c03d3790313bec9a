# SPDX-License-Identifier: Apache-2.0
vault_program(load_unix SOURCES load_unix.c)
