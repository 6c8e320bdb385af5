// What is used of OpenSSL's libcrypto. Everything here is static inline, so that no
// C file needs building.
#ifndef APUS_OPENSSL_H
#define APUS_OPENSSL_H

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stddef.h>
#include <stdint.h>

// The SHA-1 of bytes, into 20 bytes; 1 when it worked.
static inline int32_t ssl_sha1(const void *bytes, size_t count, uint8_t *digest) {
  unsigned int length = 0;
  return EVP_Digest(bytes, count, digest, &length, EVP_sha1(), NULL) == 1 && length == 20;
}

// Bytes that nobody can foretell; 1 when it worked.
static inline int32_t ssl_random(uint8_t *bytes, size_t count) {
  return count <= INT32_MAX && RAND_bytes(bytes, (int)count) == 1;
}

#endif
