/*
 * replies.h - the handlers that several servers of tests begin with.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef APUS_CTESTS_REPLIES_H
#define APUS_CTESTS_REPLIES_H

#include "check.h"

static inline void reply_hello(void *context, apus_request request) {
  (void)context;
  apus_reply_text(request, 200, "hello");
}

static inline void reply_echo(void *context, apus_request request) {
  size_t length = 0;
  (void)context;
  const void *data = apus_request_body(request, &length);
  apus_reply(request, 200, "text/plain", data, length);
}

#endif /* APUS_CTESTS_REPLIES_H */
