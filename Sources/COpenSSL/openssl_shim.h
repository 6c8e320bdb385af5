// What is used of OpenSSL's libcrypto. Everything here is static inline, so that no
// C file needs building.
#ifndef APUS_OPENSSL_H
#define APUS_OPENSSL_H

// Its errors need not tell where this was built.
#ifndef OPENSSL_NO_FILENAMES
#define OPENSSL_NO_FILENAMES
#endif

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stddef.h>
#include <stdint.h>

// The SHA-1 of bytes, into 20 bytes; 1 when it worked.
static inline int32_t ssl_sha1(const void *bytes, size_t count, uint8_t *digest) {
  unsigned int length = 0;
  return EVP_Digest(bytes, count, digest, &length, EVP_sha1(), NULL) == 1 && length == 20;
}

// A digest of bytes (0: MD5, 1: SHA-256, 2: SHA-512/256), into 32 bytes; its length, or 0
// when it failed.
static inline int32_t ssl_digest(int32_t kind, const void *bytes, size_t count, uint8_t *digest) {
  unsigned int length = 0;
  const EVP_MD *type = kind == 0 ? EVP_md5() : kind == 1 ? EVP_sha256() : EVP_sha512_256();
  if (EVP_Digest(bytes, count, digest, &length, type, NULL) != 1) return 0;
  return (int32_t)length;
}

// The HMAC-SHA-256 of bytes, into 32 bytes; 1 when it worked.
static inline int32_t ssl_hmac(const void *key, size_t key_count, const void *bytes, size_t count,
                               uint8_t *digest) {
  unsigned int length = 0;
  if (key_count > INT32_MAX) return 0;
  return HMAC(EVP_sha256(), key, (int)key_count, bytes, count, digest, &length) != NULL &&
         length == 32;
}

// Whether bytes are the same, in a time that says nothing about where they differ.
static inline int32_t ssl_equal(const void *left, const void *right, size_t count) {
  return CRYPTO_memcmp(left, right, count) == 0;
}

// Bytes that nobody can foretell; 1 when it worked.
static inline int32_t ssl_random(uint8_t *bytes, size_t count) {
  return count <= INT32_MAX && RAND_bytes(bytes, (int)count) == 1;
}

#endif
