// OpenSSL as the library sees it, save its random numbers: those are the simulator's, so
// that a seed gives the same run again.
#ifndef APUS_CHANCE_H
#define APUS_CHANCE_H

#define ssl_random host_ssl_random
#include "../../Sources/COpenSSL/openssl_shim.h"
#undef ssl_random

int32_t ssl_random(uint8_t *bytes, size_t count);

#endif
