// zlib, with functions for what are macros there. Everything here is static
// inline, so that no C file needs building.
#ifndef APUS_ZLIB_H
#define APUS_ZLIB_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

// A stream stays where it was made: zlib's own state points back at it. NULL when
// there is no memory, or an argument is out of range.

// Raw deflate (RFC 1951). `bits`: 9 to 15.
static inline z_stream *zlib_deflate_make(int32_t level, int32_t bits, int32_t memory,
                                          int32_t strategy) {
  z_stream *stream = (z_stream *)calloc(1, sizeof(z_stream));
  if (stream != NULL && deflateInit2(stream, level, Z_DEFLATED, -bits, memory, strategy) != Z_OK) {
    free(stream);
    stream = NULL;
  }
  return stream;
}

// Deflate with the wrapping of gzip (RFC 1952).
static inline z_stream *zlib_gzip_make(int32_t level) {
  z_stream *stream = (z_stream *)calloc(1, sizeof(z_stream));
  if (stream != NULL &&
      deflateInit2(stream, level, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
    free(stream);
    stream = NULL;
  }
  return stream;
}

static inline void zlib_deflate_free(z_stream *stream) {
  deflateEnd(stream);
  free(stream);
}

// Raw inflate. `bits`: 8 to 15.
static inline z_stream *zlib_inflate_make(int32_t bits) {
  z_stream *stream = (z_stream *)calloc(1, sizeof(z_stream));
  if (stream != NULL && inflateInit2(stream, -bits) != Z_OK) {
    free(stream);
    stream = NULL;
  }
  return stream;
}

// Inflate as zlib counts its windows: 15 with zlib's own wrapping (RFC 1950), 31 with
// that of gzip (RFC 1952), -15 with none.
static inline z_stream *zlib_inflate_make_wrapped(int32_t bits) {
  z_stream *stream = (z_stream *)calloc(1, sizeof(z_stream));
  if (stream != NULL && inflateInit2(stream, bits) != Z_OK) {
    free(stream);
    stream = NULL;
  }
  return stream;
}

static inline void zlib_inflate_free(z_stream *stream) {
  inflateEnd(stream);
  free(stream);
}

// Where a stream reads and writes next; zlib never writes to its input.
static inline void zlib_input(z_stream *stream, const uint8_t *bytes, uint32_t count) {
  stream->next_in = (Bytef *)(uintptr_t)bytes;
  stream->avail_in = count;
}
static inline void zlib_output(z_stream *stream, uint8_t *bytes, uint32_t count) {
  stream->next_out = bytes;
  stream->avail_out = count;
}

// Whether inflate stands right behind a block's end, at the end of a byte. zlib
// says so in data_type: 128 between two blocks, plus the bits that it has not used.
static inline int32_t zlib_is_between_blocks(const z_stream *stream) {
  return (stream->data_type & 0xFF) == 128;
}

static const int32_t ZLIB_DEFAULT_STRATEGY = Z_DEFAULT_STRATEGY;
static const int32_t ZLIB_RLE = Z_RLE;

#endif
