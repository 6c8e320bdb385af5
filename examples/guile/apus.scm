;;; apus.scm - libapus for Guile, by its foreign interface.
;;;
;;; All procedures that are handed over are called in server-tick, on the thread that ticks.
;;; They are kept by the object that they were given to, and not dropped by the library: it
;;; may do that on a thread of its own, which Guile does not know.
;;;
;;; SPDX-License-Identifier: Apache-2.0
(define-module (apus)
  #:use-module (ice-9 exceptions)
  #:use-module (rnrs bytevectors)
  #:use-module (srfi srfi-9)
  #:use-module (system foreign)
  #:use-module (system foreign-library)
  #:export (&apus-error apus-error? apus-error-name
            close-handle live-count
            make-server server-route server-get server-events server-websocket server-listen
            server-start server-stop server-tick server-event-fd
            request-path request-param request-header request-body reply-text reply-data
            event-send
            http-get response-status response-body
            make-client client-fetch fetch-start fetch-wait fetch-response
            client-open channel-wait-open channel-send channel-receive channel-hang-up))

;;; ---- the library

(define library
  (load-foreign-library
   (string-append (or (getenv "APUS_PREFIX") "/usr/local") "/lib/libapus.so.1")))

(define (foreign name result . arguments)
  (foreign-library-function library (string-append "apus_" name)
                            #:return-type result #:arg-types arguments))

(define APUS_E_NOT_FOUND -12)
(define APUS_E_CLOSED -8)
(define OPCODE_TEXT 1)

(define last-error (foreign "last_error" int32))
(define last-error-message (foreign "last_error_message" '*))
(define error-name (foreign "error_name" '* int32))

(define-exception-type &apus-error &error make-apus-error apus-error?
  (code apus-error-code)
  (name apus-error-name))

(define (fail)
  (let ((code (last-error)))
    (raise-exception
     (let ((name (pointer->string (error-name code))))
       (make-exception
        (make-apus-error code name)
        (make-exception-with-message
         (string-append (pointer->string (last-error-message) -1 "UTF-8") " (" name ")")))))))

;; A function that fails with what is below zero, with zero, and with NULL.
(define (checked failed?)
  (lambda (name result . arguments)
    (let ((function (apply foreign name result arguments)))
      (lambda given
        (let ((result (apply function given)))
          (if (failed? result) (fail) result))))))

(define code (checked negative?))
(define maker (checked zero?))
(define lender (checked null-pointer?))

(define (text string)
  (if (string-index string #\nul) (error "a NUL inside text" string))
  (string->pointer string "UTF-8"))

(define (pointer-of bytes)
  (if (zero? (bytevector-length bytes)) %null-pointer (bytevector->pointer bytes)))

(define (copy pointer length)
  (if (zero? length)
      (make-bytevector 0)
      (bytevector-copy (pointer->bytevector pointer length))))

;; Bytes that a function lends, with their length as its last argument; #f: none.
(define (taken name . arguments)
  (let ((function (apply foreign name '* (append arguments '(*)))))
    (lambda given
      (let* ((length (make-bytevector (sizeof size_t)))
             (data (apply function (append given (list (bytevector->pointer length))))))
        (cond ((not (null-pointer? data))
               (copy data (bytevector-uint-ref length 0 (native-endianness) (sizeof size_t))))
              ((= (last-error) APUS_E_NOT_FOUND) #f)
              (else (fail)))))))

(define (decoded bytes) (and bytes (utf8->string bytes)))

;;; ---- handles

;; The guard is a pointer whose address is the handle and whose finalizer is the library's
;; own function; a handle that has ended already is none of its business. What the handle
;; was made of, and what it was given to call, live as long as it does.
(define-record-type <handle>
  (wrap kind number guard kept)
  handle?
  (kind handle-kind)
  (number number)
  (guard handle-guard)
  (kept handle-kept set-handle-kept!))

(define (own kind number . of)
  (let ((destroy (foreign-library-pointer library (string-append "apus_" kind "_destroy"))))
    (wrap kind number (make-pointer number destroy) of)))

(define (borrow kind number) (wrap kind number #f '()))

;; Ends a handle: 1, or 0 if it had ended.
(define (close-handle handle)
  ((foreign (string-append (handle-kind handle) "_destroy") int32 uint64) (number handle)))

(define live-count (let ((count (code "live_count" int32 int32))) (lambda () (count 0))))

;;; ---- procedures that are called back: one of C for each type finds it by the context

(define procedures (make-weak-value-hash-table))
(define last-number 0)

;; The three arguments that hand a procedure over; the keeper holds it.
(define (handed keeper callback procedure)
  ;; A box of its own: the procedure may be known elsewhere, and for longer.
  (let ((box (list procedure)))
    (set! last-number (1+ last-number))
    (hashv-set! procedures last-number box)
    (set-handle-kept! keeper (cons box (handle-kept keeper)))
    (list callback (make-pointer last-number) %null-pointer)))

;; Whether the procedure returned; what it threw is reported.
(define (run context . arguments)
  (let ((box (hashv-ref procedures (pointer-address context))))
    (with-exception-handler
        (lambda (thrown)
          (format (current-error-port) "a procedure failed: ~a\n"
                  (if (exception-with-message? thrown) (exception-message thrown) thrown))
          (force-output (current-error-port))
          #f)
      (lambda () (apply (car box) arguments) #t)
      #:unwind? #t)))

(define writer-end (foreign "writer_end" int32 uint64))
(define writer-destroy (foreign "writer_destroy" int32 uint64))
(define reply-status (foreign "reply_status" int32 uint64 int32))
(define channel-close (foreign "channel_close" int32 uint64 int32 '* size_t))

(define on-request
  (procedure->pointer void
    (lambda (context request)
      (unless (run context (borrow "request" request)) (reply-status request 500)))
    (list '* uint64)))

(define on-events
  (procedure->pointer void
    (lambda (context writer request)
      (when (run context (borrow "writer" writer) (borrow "request" request))
        (writer-end writer))
      (writer-destroy writer))
    (list '* uint64 uint64)))

(define on-open (procedure->pointer void (lambda _ *unspecified*) (list '* uint64 uint64)))

(define on-message
  (procedure->pointer void
    (lambda (context channel opcode data length)
      (unless (run context (borrow "channel" channel) (message opcode data length))
        (channel-close channel 1011 %null-pointer 0)))
    (list '* uint64 int32 '* size_t)))

;; Text is a string, and what is binary a bytevector.
(define (message opcode data length)
  (let ((bytes (copy data length)))
    (if (= opcode OPCODE_TEXT) (utf8->string bytes) bytes)))

;;; ---- servers

(define server-make (maker "server_make" uint64))
(define server-route-named (code "server_route_named" int32 uint64 '* '* '* '* '*))
(define server-events-route (code "server_events" int32 uint64 '* '* '* '*))
(define server-websocket-route (code "server_websocket" int32 uint64 '* '* '* '*))
(define server-on-message (code "server_on_message" int32 uint64 int32 '* '* '*))
(define bind-listener (code "server_listen" int32 uint64 '* int32))
(define port (code "server_port" int32 uint64 int32))
(define start (code "server_start" int32 uint64))
(define stop (code "server_stop" int32 uint64))
(define tick (code "server_tick" int32 uint64 int32))
(define event-fd (code "server_event_fd" int32 uint64))

(define (make-server) (own "server" (server-make)))

(define (server-route server method pattern procedure)
  (apply server-route-named (number server) (text method) (text pattern)
         (handed server on-request procedure)))

(define (server-get server pattern procedure) (server-route server "GET" pattern procedure))

;; The procedure takes a stream, for event-send, and a request.
(define (server-events server pattern procedure)
  (apply server-events-route (number server) (text pattern)
         (handed server on-events procedure)))

;; The procedure takes a channel and a message.
(define (server-websocket server pattern procedure)
  (let ((route (server-websocket-route (number server) (text pattern) on-open
                                       %null-pointer %null-pointer)))
    (apply server-on-message (number server) route (handed server on-message procedure))))

;; Returns the port.
(define (server-listen server host at)
  (port (number server) (bind-listener (number server) (text host) at)))

(define (server-start server) (start (number server)))
(define (server-stop server) (stop (number server)))
(define (server-tick server timeout) (tick (number server) timeout))
(define (server-event-fd server) (event-fd (number server)))

;;; ---- requests and replies

(define path (lender "request_path" '* uint64))
(define param (taken "request_param" uint64 '*))
(define header (taken "request_header" uint64 '*))
(define body (taken "request_body" uint64))
(define reply (code "reply" int32 uint64 int32 '* '* size_t))
(define event (code "writer_event" int32 uint64 '* '* '* size_t))

(define (request-path request) (pointer->string (path (number request)) -1 "UTF-8"))
(define (request-param request name) (decoded (param (number request) (text name))))
(define (request-header request name) (decoded (header (number request) (text name))))
(define (request-body request) (body (number request)))

(define (reply-data request status type bytes)
  (reply (number request) status (text type) (pointer-of bytes) (bytevector-length bytes)))

(define (reply-text request string)
  (reply-data request 200 "text/plain; charset=utf-8" (string->utf8 string)))

(define (event-send stream data id)
  (let ((bytes (string->utf8 data)))
    (event (number stream) %null-pointer (text id) (pointer-of bytes)
           (bytevector-length bytes))))

;;; ---- clients

(define client-make (maker "client_make" uint64))
(define get (maker "get" uint64 '* '*))
(define fetch-make (maker "fetch_make" uint64 uint64 '* '*))
(define begin-fetch (code "fetch_start" int32 uint64))
(define await-fetch (code "fetch_wait" int32 uint64 int32))
(define fetch-result (code "fetch_result" int32 uint64))
(define response-of (maker "fetch_response" uint64 uint64))
(define response-keep (code "response_keep" int32 uint64))
(define status (code "response_status" int32 uint64))
(define body-of (taken "response_body" uint64))

;; One request over a connection of its own.
(define (http-get url) (own "response" (get (text url) %null-pointer)))
(define (response-status response) (status (number response)))
(define (response-body response) (body-of (number response)))

(define (make-client) (own "client" (client-make)))
(define (client-fetch client method url)
  (own "fetch" (fetch-make (number client) (text method) (text url)) client))
(define (fetch-start fetch) (begin-fetch (number fetch)))
;; #t when it is done, #f when the time has passed.
(define (fetch-wait fetch timeout) (= 1 (await-fetch (number fetch) timeout)))

(define (fetch-response fetch)
  (fetch-result (number fetch))
  (let ((response (response-of (number fetch))))
    (response-keep response)
    (own "response" response)))

;;; ---- channels

(define channel-make (maker "channel_make" uint64 uint64))
(define channel-open (code "channel_open" int32 uint64 '*))
(define wait-open (code "channel_wait_open" int32 uint64 int32))
(define send-text (code "channel_send_text" int32 uint64 '* size_t))
(define send-binary (code "channel_send_binary" int32 uint64 '* size_t))
(define recv (foreign "channel_recv" int32 uint64 '* int32))

;; Begins to open a WebSocket.
(define (client-open client url)
  (let ((channel (own "channel" (channel-make (number client)) client)))
    (channel-open (number channel) (text url))
    channel))

;; #t when it is open, #f when the time has passed.
(define (channel-wait-open channel timeout) (= 1 (wait-open (number channel) timeout)))

(define (channel-send channel message)
  (let ((bytes (if (string? message) (string->utf8 message) message)))
    ((if (string? message) send-text send-binary)
     (number channel) (pointer-of bytes) (bytevector-length bytes))))

;; The next message; #f when the time has passed, or none is left.
(define (channel-receive channel timeout)
  (let* ((layout (list int32 int32 '* size_t uint64 uint64 uint64 uint64))
         (place (make-c-struct layout (list 0 0 %null-pointer 0 0 0 0 0)))
         (result (recv (number channel) place timeout)))
    (cond ((= result 1)
           (let ((fields (parse-c-struct place layout)))
             (message (list-ref fields 0) (list-ref fields 2) (list-ref fields 3))))
          ((or (= result 0) (= result APUS_E_CLOSED)) #f)
          (else (fail)))))

(define (channel-hang-up channel) (channel-close (number channel) 1000 %null-pointer 0))
