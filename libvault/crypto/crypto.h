// SPDX-License-Identifier: Apache-2.0
// The algorithms of OpenSSL that this library uses, fetched once.
//
// A fetch by name costs more than the operation itself and may open files, so
// every role calls crypto_open before it enters its sandbox. The other files of
// this folder also call it themselves: forgetting it costs time, not safety.
#ifndef VLT_CRYPTO_CRYPTO_H
#define VLT_CRYPTO_CRYPTO_H

#include "libvault/base/result.h"

// Any thread, any number of times. VLT_UNAVAILABLE when OpenSSL lacks an
// algorithm (a crippled build or a wrong provider configuration).
vlt_result crypto_open(void) VLT_MUST_USE;

#endif
