// The decoders of brotli and zstd, of libraries that a system may have or not. They are
// looked for when first wanted, and stay loaded. Everything here is static inline.
#ifndef APUS_CODING_H
#define APUS_CODING_H

#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

// A decoder with the functions that it needs.
typedef struct coding_decoder {
  void *library;
  void *state;
  void *step;
  void *end;
  void *is_error;
} coding_decoder;

static inline void coding_free(coding_decoder *decoder) {
  if (decoder == NULL) return;
  if (decoder->state != NULL && decoder->end != NULL) {
    // Both take the state; what zstd's returns is of no interest.
    if (decoder->is_error != NULL) {
      (void)((size_t(*)(void *))decoder->end)(decoder->state);
    } else {
      ((void (*)(void *))decoder->end)(decoder->state);
    }
  }
  if (decoder->library != NULL) dlclose(decoder->library);
  free(decoder);
}

static inline coding_decoder *coding_open(const char *library) {
  coding_decoder *decoder = (coding_decoder *)calloc(1, sizeof(coding_decoder));
  if (decoder == NULL) return NULL;
  decoder->library = dlopen(library, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (decoder->library != NULL) return decoder;
  coding_free(decoder);
  return NULL;
}

// NULL without the library, or without memory.
static inline coding_decoder *coding_make_brotli(void) {
  coding_decoder *decoder = coding_open("libbrotlidec.so.1");
  if (decoder == NULL) return NULL;
  void *make = dlsym(decoder->library, "BrotliDecoderCreateInstance");
  decoder->step = dlsym(decoder->library, "BrotliDecoderDecompressStream");
  decoder->end = dlsym(decoder->library, "BrotliDecoderDestroyInstance");
  if (make != NULL && decoder->step != NULL && decoder->end != NULL) {
    decoder->state = ((void *(*)(void *, void *, void *))make)(NULL, NULL, NULL);
  }
  if (decoder->state != NULL) return decoder;
  coding_free(decoder);
  return NULL;
}

static inline coding_decoder *coding_make_zstd(void) {
  coding_decoder *decoder = coding_open("libzstd.so.1");
  if (decoder == NULL) return NULL;
  void *make = dlsym(decoder->library, "ZSTD_createDStream");
  void *set = dlsym(decoder->library, "ZSTD_DCtx_setParameter");
  decoder->step = dlsym(decoder->library, "ZSTD_decompressStream");
  decoder->end = dlsym(decoder->library, "ZSTD_freeDStream");
  decoder->is_error = dlsym(decoder->library, "ZSTD_isError");
  if (make != NULL && set != NULL && decoder->step != NULL && decoder->end != NULL &&
      decoder->is_error != NULL) {
    decoder->state = ((void *(*)(void))make)();
  }
  if (decoder->state != NULL) {
    // RFC 9659: ZSTD_d_windowLogMax, a window of 8 MiB at most.
    (void)((size_t(*)(void *, int, int))set)(decoder->state, 100, 23);
    return decoder;
  }
  coding_free(decoder);
  return NULL;
}

// What a step gives: the stream or frame is at its end, it goes on, or it is malformed.
enum { CODING_MALFORMED = -1, CODING_MORE = 0, CODING_END = 1 };

// Decodes some of the input to some of the room, and says how much of either.
static inline int32_t coding_step(coding_decoder *decoder, const uint8_t *input, size_t *used,
                                  uint8_t *room, size_t *made) {
  if (decoder->is_error != NULL) {
    struct {
      void *at;
      size_t size, place;
    } out = {room, *made, 0};
    struct {
      const void *at;
      size_t size, place;
    } in = {input, *used, 0};
    size_t result = ((size_t(*)(void *, void *, void *))decoder->step)(decoder->state, &out, &in);
    *used = in.place;
    *made = out.place;
    if (((unsigned (*)(size_t))decoder->is_error)(result)) return CODING_MALFORMED;
    return result == 0 ? CODING_END : CODING_MORE;
  }
  size_t input_left = *used, room_left = *made;
  int result =
      ((int (*)(void *, size_t *, const uint8_t **, size_t *, uint8_t **, size_t *))decoder->step)(
          decoder->state, &input_left, &input, &room_left, &room, NULL);
  *used -= input_left;
  *made -= room_left;
  return result == 0 ? CODING_MALFORMED : result == 1 ? CODING_END : CODING_MORE;
}

#endif
