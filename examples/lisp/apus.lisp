;;;; apus.lisp - a small binding of libapus for SBCL: an HTTP, WebSocket and SSE server whose
;;;; handlers run in RUN, and a client. Servers, clients and sockets end with CLOSE-DOWN, or
;;;; once the collector has taken them; to use one afterwards is an error.

(defpackage :apus
  (:use :cl :sb-alien)
  (:export #:apus-error #:code #:live #:close-down #:param #:reply #:event #:finish #:send
           #:make-server #:on-get #:on-events #:on-message #:listen-on #:run #:stop
           #:fetch #:make-client #:make-socket #:open-url #:receive))
(in-package :apus)

(eval-when (:compile-toplevel :load-toplevel :execute)
  (load-shared-object
   (let ((prefix (sb-ext:posix-getenv "APUS_PREFIX")))
     (if prefix (concatenate 'string prefix "/lib/libapus.so.1") "libapus.so.1"))))

(deftype octets () '(simple-array (unsigned-byte 8) (*)))
(define-alien-type handle (unsigned 64))
(define-alien-type text (c-string :external-format :utf-8))
(define-alien-type size (unsigned 64))

;;; apus_message, whose layout is frozen.
(define-alien-type message
    (struct message (opcode int) (final int) (data (* t)) (length size)
            (reserved (array (unsigned 64) 4))))

(defmacro c (result name &rest arguments)
  "Calls a function of C; an argument is a type and a value."
  `(alien-funcall (extern-alien ,name (function ,result ,@(mapcar #'first arguments)))
                  ,@(mapcar #'second arguments)))

;;; ---- failures

(define-condition apus-error (error)
  ((code :initarg :code :reader code) (message :initarg :message))
  (:report (lambda (condition stream)
             (format stream "~a (~a)" (slot-value condition 'message)
                     (c text "apus_error_name" (int (code condition)))))))

(defun fail ()
  "Signals the thread's latest failure."
  (error 'apus-error :code (c int "apus_last_error") :message (c text "apus_last_error_message")))

(defun check (result) (if (minusp result) (fail) result))
(defun check-handle (handle) (if (zerop handle) (fail) handle))

(defun live ()
  "How many objects of the library there are, to find leaks."
  (c int "apus_live_count" (int 0)))

;;; ---- text and bytes

(defun octets (text)
  (coerce (if (stringp text) (sb-ext:string-to-octets text :external-format :utf-8) text)
          'octets))

(defun copied (pointer length)
  "A copy of what the library lends."
  (let ((copy (make-array length :element-type '(unsigned-byte 8))))
    (dotimes (index length copy)
      (setf (aref copy index) (sb-sys:sap-ref-8 pointer index)))))

(defun decoded (octets) (sb-ext:octets-to-string octets :external-format :utf-8))

(defmacro with-octets ((pointer length) text &body body)
  "Runs the body with the place and the number of the bytes of a text."
  (let ((octets (gensym)))
    `(let* ((,octets (octets ,text)) (,length (length ,octets)))
       (sb-sys:with-pinned-objects (,octets)
         (let ((,pointer (sb-sys:vector-sap ,octets)))
           ,@body)))))

;;; ---- requests, writers and channels: integers, harmless when they have ended

(defun param (request name)
  "A part of the path that the pattern names, or NIL."
  (with-alien ((length size))
    (let ((value (c system-area-pointer "apus_request_param" (handle request) (text name)
                    ((* size) (addr length)))))
      (unless (zerop (sb-sys:sap-int value))
        (decoded (copied value length))))))

(defun reply (request status text)
  "Replies with plain text."
  (with-octets (pointer length) text
    (check (c int "apus_reply" (handle request) (int status) (text "text/plain; charset=utf-8")
              (system-area-pointer pointer) (size length)))))

(defun event (writer id text)
  (with-octets (pointer length) text
    (check (c int "apus_writer_event" (handle writer) (text nil) (text id)
              (system-area-pointer pointer) (size length)))))

(defun finish (writer) (check (c int "apus_writer_end" (handle writer))))

(defun send-message (channel message)
  (with-octets (pointer length) message
    (check (c int "apus_channel_send" (handle channel) (int (if (stringp message) 1 2)) (int 1)
              (system-area-pointer pointer) (size length)))))

(defgeneric send (channel message)
  (:documentation "Sends a string as text, and a vector of octets as binary.")
  (:method ((channel integer) message) (send-message channel message)))

(defun message (opcode pointer length)
  (let ((octets (copied pointer length)))
    (if (= opcode 1) (decoded octets) octets)))

;;; ---- servers

(defgeneric close-down (object))

;;; The server has its handlers, and the library their indices: a handler may refer to its
;;; server, and be collected with it.
(defstruct (server (:constructor %make-server (handle)))
  handle (handlers (make-array 0 :adjustable t :fill-pointer t)) stopping)

(defun make-server ()
  (let* ((handle (check-handle (c handle "apus_server_make"))) (server (%make-server handle)))
    (sb-ext:finalize server (lambda () (c int "apus_server_destroy" (handle handle))))))

(defmethod close-down ((server server))
  (c int "apus_server_destroy" (handle (server-handle server))))

(defvar *server* nil "The one that runs on this thread: callbacks come in there alone.")

(defun emit (index &rest arguments)
  "Calls a handler. Nothing may unwind C, not a THROW either; tells whether all went well."
  (let ((problem "it was left by THROW, RETURN-FROM or GO"))
    (unwind-protect
         (handler-case
             (progn (apply (aref (server-handlers *server*) index) arguments)
                    (setf problem nil))
           (serious-condition (condition) (setf problem condition)))
      (ignore-errors
       (when problem (format *error-output* "a handler failed: ~a~%" problem)))
      (return-from emit (null problem)))))

(define-alien-callable on-request void ((context (unsigned 64)) (request handle))
  (emit context request)
  (values))

(define-alien-callable on-events void ((context (unsigned 64)) (writer handle) (request handle))
  (c int "apus_writer_detach" (handle writer))
  (unless (emit context writer request)
    (c int "apus_writer_abort" (handle writer)))
  (values))

(define-alien-callable on-text void
    ((context (unsigned 64)) (channel handle) (opcode int) (data system-area-pointer)
     (length size))
  (emit context channel (message opcode data length))
  (values))

;;; A route needs a function, or its channels are for apus_server_next().
(define-alien-callable on-open void ((context (unsigned 64)) (channel handle) (request handle))
  (declare (ignore context channel request))
  (values))

(defmacro register (name server route callable index)
  `(check (c int ,name (handle (server-handle ,server)) ,route
             ((* t) (alien-sap (alien-callable-function ',callable)))
             ((unsigned 64) ,index) ((unsigned 64) 0))))

(defun add (server handler) (vector-push-extend handler (server-handlers server)))

(defun on-get (server pattern handler)
  "Answers GET requests. An error in the handler is reported, and is a 500."
  (register "apus_server_get" server (text pattern) on-request (add server handler)))

(defun on-events (server pattern handler)
  "Answers with a stream of events: the handler gets a writer and the request."
  (register "apus_server_events" server (text pattern) on-events (add server handler)))

(defun on-message (server pattern handler)
  "Takes the messages of channels: the handler gets the channel and the message."
  (let ((route (register "apus_server_websocket" server (text pattern) on-open 0)))
    (register "apus_server_on_message" server (int route) on-text (add server handler))))

(defun listen-on (server host port)
  "Binds a port, 0 for any free one, and gives it."
  (let* ((handle (server-handle server))
         (listener (check (c int "apus_server_listen" (handle handle) (text host) (int port)))))
    (check (c int "apus_server_port" (handle handle) (int listener)))))

(defun run (server)
  "Serves on this thread until STOP."
  (let ((handle (server-handle server)) (*server* server))
    ;; The library's threads begin with this one's way to treat numbers.
    (sb-int:with-float-traps-masked (:invalid :divide-by-zero :overflow :inexact)
      (check (c int "apus_server_start" (handle handle))))
    (loop until (server-stopping server)
          do (check (c int "apus_server_tick" (handle handle) (int 1000))))
    (check (c int "apus_server_stop" (handle handle)))))

(defun stop (server)
  "Ends RUN, from any thread."
  (setf (server-stopping server) t)
  (c int "apus_server_wake" (handle (server-handle server))))

;;; ---- the client

(defun fetch (url)
  "The body of what a URL gives, as octets, and its status."
  (let ((response (check-handle (c handle "apus_get" (text url) (text nil)))))
    (unwind-protect
         (with-alien ((length size))
           (let ((body (c system-area-pointer "apus_response_body" (handle response)
                          ((* size) (addr length)))))
             (values (copied body length) (c int "apus_response_status" (handle response)))))
      (c int "apus_response_destroy" (handle response)))))

(defstruct (client (:constructor %make-client (handle))) handle)

(defun make-client ()
  (let* ((handle (check-handle (c handle "apus_client_make"))) (client (%make-client handle)))
    (sb-ext:finalize client (lambda () (c int "apus_client_destroy" (handle handle))))))

(defmethod close-down ((client client))
  (c int "apus_client_destroy" (handle (client-handle client))))

;;; A client's end of a WebSocket; it keeps its client.
(defstruct (socket (:constructor %make-socket (handle client))) handle client)

(defun make-socket (client)
  (let* ((handle (check-handle (c handle "apus_channel_make" (handle (client-handle client)))))
         (socket (%make-socket handle client)))
    (sb-ext:finalize socket (lambda () (c int "apus_channel_destroy" (handle handle))))))

(defun open-url (socket url)
  "Connects, as to ws://host:port/path, and waits until that is done."
  (let ((handle (socket-handle socket)))
    (check (c int "apus_channel_open" (handle handle) (text url)))
    (check (c int "apus_channel_wait_open" (handle handle) (int -1)))))

(defmethod send ((socket socket) message) (send-message (socket-handle socket) message))

(defun receive (socket)
  "Waits for a message."
  (with-alien ((message message))
    (check (c int "apus_channel_recv" (handle (socket-handle socket))
              ((* message) (addr message)) (int -1)))
    (message (slot message 'opcode) (alien-sap (slot message 'data)) (slot message 'length))))

(defmethod close-down ((socket socket))
  "Waits for the peer to close, too."
  (let ((handle (socket-handle socket)))
    (with-alien ((message message))
      (when (zerop (c int "apus_channel_close" (handle handle) (int 1000) (text nil) (size 0)))
        (loop while (plusp (c int "apus_channel_recv" (handle handle)
                              ((* message) (addr message)) (int 5000))))))
    (c int "apus_channel_destroy" (handle handle))))
