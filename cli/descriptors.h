// SPDX-License-Identifier: Apache-2.0
// Which descriptors vaultctl was started with. A program that it starts gets those,
// and none of the sockets that libcurl opened here. main and `exec`, one thread.
#ifndef VLT_CLI_DESCRIPTORS_H
#define VLT_CLI_DESCRIPTORS_H

void descriptors_note(void);     // first of all in main
void descriptors_keep_own(void); // those opened since are closed by the next exec

#endif
