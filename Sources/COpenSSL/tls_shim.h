// What is used of OpenSSL's libssl and of its certificates: the macros, and the few lines
// around them that need types which Swift does not import. Everything here is static
// inline, so that no C file needs building.
#ifndef APUS_TLS_H
#define APUS_TLS_H

#include "openssl_shim.h"

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

// At the process's end threads may still be inside: nothing is cleaned up then.
static inline void tls_prepare(void) { OPENSSL_init_ssl(OPENSSL_INIT_NO_ATEXIT, NULL); }

// ---- contexts

// What every context has: no renegotiation, no compression, memory given back while
// idle, and more than a record's header read at once.
static inline void tls_context_prepare(SSL_CTX *context) {
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_security_level(context, 2);
  SSL_CTX_set_max_early_data(context, 0);
}
static inline int32_t tls_context_versions(SSL_CTX *context, int32_t least, int32_t most) {
  return SSL_CTX_set_min_proto_version(context, least) == 1 &&
         SSL_CTX_set_max_proto_version(context, most) == 1;
}
static inline int32_t tls_context_groups(SSL_CTX *context, const char *list) {
  return SSL_CTX_set1_groups_list(context, list) == 1;
}
static inline void tls_context_preference(SSL_CTX *context, int32_t server) {
  if (server) {
    SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  } else {
    SSL_CTX_clear_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  }
}
static inline void tls_context_cache(SSL_CTX *context, int32_t client) {
  SSL_CTX_set_session_cache_mode(
      context, client ? SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL : SSL_SESS_CACHE_OFF);
}
static inline void tls_context_no_tickets(SSL_CTX *context) {
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
}

// A name in the client's hello is taken note of; the context was chosen before.
static inline int tls_name_taken(SSL *ssl, int *alert, void *argument) {
  (void)ssl, (void)alert, (void)argument;
  return SSL_TLSEXT_ERR_OK;
}
static inline void tls_context_take_names(SSL_CTX *context) {
  SSL_CTX_set_tlsext_servername_callback(context, tls_name_taken);
}
static inline void tls_context_status(SSL_CTX *context, int (*answer)(SSL *, void *)) {
  SSL_CTX_set_tlsext_status_cb(context, answer);
}
static inline int32_t tls_staple(SSL *ssl, const void *response, size_t count) {
  void *copy = count <= INT32_MAX ? OPENSSL_memdup(response, count) : NULL;
  if (!copy) return 0;
  SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)count);
  return 1;
}

// ---- certificates and keys, from memory

static inline BIO *tls_memory(const void *bytes, size_t count) {
  return count > 0 && count <= INT32_MAX ? BIO_new_mem_buf(bytes, (int)count) : NULL;
}

// Nobody is asked for the password of a block that is a certificate or a list: OpenSSL's own
// callback would ask on the terminal.
static inline int tls_no_password(char *buffer, int capacity, int writes, void *argument) {
  (void)buffer, (void)capacity, (void)writes, (void)argument;
  return -1;
}

// Whether reading PEM has come to the end of its text, and not to a block that is broken.
static inline int32_t tls_pem_ended(void) {
  unsigned long error = ERR_peek_last_error();
  return error == 0 ||
         (ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE);
}

// The certificate and its chain; 1 when they are the context's.
static inline int32_t tls_context_chain(SSL_CTX *context, const void *bytes, size_t count) {
  BIO *source = tls_memory(bytes, count);
  if (!source) return 0;
  X509 *own = PEM_read_bio_X509_AUX(source, NULL, tls_no_password, NULL);
  int32_t result = own && SSL_CTX_use_certificate(context, own) == 1;
  X509_free(own);
  if (result) SSL_CTX_clear_chain_certs(context);
  while (result) {
    X509 *next = PEM_read_bio_X509(source, NULL, tls_no_password, NULL);
    if (!next) {
      result = tls_pem_ended();
      break;
    }
    if (SSL_CTX_add0_chain_cert(context, next) != 1) {
      X509_free(next);
      result = 0;
    }
  }
  BIO_free(source);
  if (result) ERR_clear_error();
  return result;
}

// The private key, for which a password may be asked; 1 when it is the certificate's.
static inline int32_t tls_context_key(SSL_CTX *context, const void *bytes, size_t count,
                                      pem_password_cb *password, void *argument) {
  BIO *source = tls_memory(bytes, count);
  if (!source) return 0;
  EVP_PKEY *key = PEM_read_bio_PrivateKey(source, NULL, password, argument);
  int32_t result =
      key && SSL_CTX_use_PrivateKey(context, key) == 1 && SSL_CTX_check_private_key(context) == 1;
  EVP_PKEY_free(key);
  BIO_free(source);
  return result;
}

// Gives a context another one's certificate, chain and key.
static inline int32_t tls_context_copy_identity(SSL_CTX *context, SSL_CTX *other) {
  STACK_OF(X509) *chain = NULL;
  return SSL_CTX_use_certificate(context, SSL_CTX_get0_certificate(other)) == 1 &&
         SSL_CTX_use_PrivateKey(context, SSL_CTX_get0_privatekey(other)) == 1 &&
         SSL_CTX_get0_chain_certs(other, &chain) == 1 &&
         (!chain || SSL_CTX_set1_chain(context, chain) == 1);
}

// Adds the certificates of some PEM text to those that are trusted, and those whose names
// clients are told, where that is wanted; how many, or 0.
static inline int32_t tls_context_trust(SSL_CTX *context, const void *bytes, size_t count,
                                        int32_t tells) {
  BIO *source = tls_memory(bytes, count);
  if (!source) return 0;
  X509_STORE *store = SSL_CTX_get_cert_store(context);
  int32_t number = 0;
  X509 *next;
  while ((next = PEM_read_bio_X509(source, NULL, tls_no_password, NULL))) {
    int32_t taken = X509_STORE_add_cert(store, next) == 1;
    if (taken && tells) taken = SSL_CTX_add_client_CA(context, next) == 1;
    X509_free(next);
    if (!taken) {
      number = -1;
      break;
    }
    number++;
  }
  if (!tls_pem_ended()) number = -1;
  BIO_free(source);
  if (number > 0) ERR_clear_error();
  return number > 0 ? number : 0;
}

// Adds lists of revoked certificates and has all of a chain looked up in them; how many, or 0.
static inline int32_t tls_context_revoke(SSL_CTX *context, const void *bytes, size_t count) {
  BIO *source = tls_memory(bytes, count);
  if (!source) return 0;
  X509_STORE *store = SSL_CTX_get_cert_store(context);
  int32_t number = 0;
  X509_CRL *next;
  while ((next = PEM_read_bio_X509_CRL(source, NULL, tls_no_password, NULL))) {
    int32_t taken = X509_STORE_add_crl(store, next) == 1;
    X509_CRL_free(next);
    if (!taken) {
      number = -1;
      break;
    }
    number++;
  }
  if (!tls_pem_ended()) number = -1;
  BIO_free(source);
  if (number <= 0) return 0;
  ERR_clear_error();
  X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
  return number;
}

// The system's store, where OpenSSL was built to find it; no variable of the environment
// is asked.
static inline void tls_store_trust_system(X509_STORE *store) {
  X509_STORE_load_file(store, X509_get_default_cert_file());
  X509_STORE_load_path(store, X509_get_default_cert_dir());
  ERR_clear_error();
}

// ---- tickets: the key's name is copied by the caller

static inline int32_t tls_ticket_keys(EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, const uint8_t *aes,
                                      const uint8_t *hmac, uint8_t *iv, int32_t seals) {
  OSSL_PARAM parameters[3];
  parameters[0] = OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)hmac, 32);
  parameters[1] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0);
  parameters[2] = OSSL_PARAM_construct_end();
  return EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, aes, iv, seals) == 1 &&
         EVP_MAC_CTX_set_params(mac, parameters) == 1;
}

// ---- sessions

static inline void tls_retry_reading(BIO *bio) { BIO_set_retry_read(bio); }
static inline void tls_retry_nothing(BIO *bio) { BIO_clear_retry_flags(bio); }

static inline int32_t tls_has_goodbye(const SSL *ssl) {
  return (SSL_get_shutdown(ssl) & SSL_RECEIVED_SHUTDOWN) != 0;
}
static inline int32_t tls_send_name(SSL *ssl, const char *name) {
  return SSL_set_tlsext_host_name(ssl, name) == 1;
}
static inline int32_t tls_is_resumed(SSL *ssl) { return SSL_session_reused(ssl) == 1; }

// Only the names in subjectAltName count, and a wildcard is a whole label.
static inline int32_t tls_expect_host(SSL *ssl, const char *host, int32_t is_address) {
  SSL_set_hostflags(ssl,
                    X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  if (is_address) return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
  return SSL_set1_host(ssl, host) == 1;
}

// The one name in a client's hello, RFC 6066 section 3, into a buffer; its length, or 0.
static inline size_t tls_hello_name(SSL *ssl, char *name, size_t capacity) {
  const unsigned char *data;
  size_t size;
  if (!SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &data, &size) || size < 5) return 0;
  size_t list = (size_t)data[0] << 8 | data[1];
  size_t length = (size_t)data[3] << 8 | data[4];
  if (list + 2 != size || data[2] != TLSEXT_NAMETYPE_host_name || length + 5 > size) return 0;
  if (length >= capacity || memchr(data + 5, 0, length)) return 0;
  memcpy(name, data + 5, length);
  name[length] = 0;
  return length;
}

// ---- what a certificate says

// A name in one line, as RFC 4514 writes it; how many bytes, all of which are there.
static inline size_t tls_name_text(const X509_NAME *name, char *text, size_t capacity) {
  if (capacity == 0) return 0;
  BIO *sink = BIO_new(BIO_s_mem());
  if (!sink) return 0;
  int unicode = XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB;
  size_t count = 0;
  if (X509_NAME_print_ex(sink, name, 0, (unsigned long)unicode) >= 0) {
    char *data = NULL;
    long size = BIO_get_mem_data(sink, &data);
    count = size > 0 ? (size_t)size : 0;
    if (count >= capacity) count = capacity - 1;
    if (count > 0) memcpy(text, data, count);
  }
  BIO_free(sink);
  text[count] = 0;
  return count;
}

// The names of subjectAltName (DNS names and addresses), each with a newline behind it;
// those with a NUL inside are left out. How many bytes, all of which are there.
static inline size_t tls_certificate_names(const X509 *certificate, char *text, size_t capacity) {
  GENERAL_NAMES *names =
      (GENERAL_NAMES *)X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
  size_t count = 0;
  for (int index = 0; names && index < sk_GENERAL_NAME_num(names); index++) {
    const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, index);
    if (name->type != GEN_DNS && name->type != GEN_IPADD && name->type != GEN_EMAIL &&
        name->type != GEN_URI)
      continue;
    const unsigned char *data = ASN1_STRING_get0_data(name->d.ia5);
    size_t size = (size_t)ASN1_STRING_length(name->d.ia5);
    char address[64];
    if (name->type == GEN_IPADD) {
      int length = 0;
      if (size == 4) {
        length = BIO_snprintf(address, sizeof address, "%d.%d.%d.%d", data[0], data[1], data[2],
                              data[3]);
      } else if (size == 16) {
        for (int part = 0; part < 8; part++) {
          length += BIO_snprintf(address + length, sizeof address - (size_t)length, "%s%x",
                                 part ? ":" : "", data[2 * part] << 8 | data[2 * part + 1]);
        }
      }
      data = (const unsigned char *)address;
      size = length > 0 ? (size_t)length : 0;
    }
    if (size == 0 || memchr(data, 0, size) || memchr(data, '\n', size)) continue;
    if (size + 1 >= capacity - count) break;
    memcpy(text + count, data, size);
    count += size;
    text[count++] = '\n';
  }
  GENERAL_NAMES_free(names);
  if (capacity > 0) text[count] = 0;
  return count;
}

// SHA-256 of a certificate, and of its public key as HTTP pins have it; 1 when it worked.
static inline int32_t tls_certificate_digest(const X509 *certificate, uint8_t *digest) {
  unsigned int length = 0;
  return X509_digest(certificate, EVP_sha256(), digest, &length) == 1 && length == 32;
}
static inline int32_t tls_key_digest(const X509 *certificate, uint8_t *digest) {
  unsigned char *bytes = NULL;
  unsigned int length = 0;
  int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &bytes);
  if (size <= 0) return 0;
  int32_t result =
      EVP_Digest(bytes, (size_t)size, digest, &length, EVP_sha256(), NULL) == 1 && length == 32;
  OPENSSL_free(bytes);
  return result;
}

// A day of a certificate in text, for a sentence: "Nov 20 10:00:00 2026 GMT".
static inline size_t tls_day(const X509 *certificate, int32_t last, char *text, size_t capacity) {
  BIO *sink = BIO_new(BIO_s_mem());
  size_t count = 0;
  if (!sink || capacity == 0) return 0;
  if (ASN1_TIME_print(
          sink, last ? X509_get0_notAfter(certificate) : X509_get0_notBefore(certificate)) == 1) {
    char *data = NULL;
    long size = BIO_get_mem_data(sink, &data);
    count = size > 0 ? (size_t)size : 0;
    if (count >= capacity) count = capacity - 1;
    if (count > 0) memcpy(text, data, count);
  }
  BIO_free(sink);
  text[count] = 0;
  return count;
}

// Constants that Swift does not import.
static const int32_t TLS_VERSION_12 = TLS1_2_VERSION;
static const int32_t TLS_VERSION_13 = TLS1_3_VERSION;
static const int32_t TLS_CTRL_FLUSH = BIO_CTRL_FLUSH;
static const int32_t TLS_HELLO_SUCCESS = SSL_CLIENT_HELLO_SUCCESS;

#endif
