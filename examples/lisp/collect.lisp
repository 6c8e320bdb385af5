;;;; collect.lisp - what the garbage collector may do, by assertions.

(defpackage :collect (:use :cl :apus) (:export #:collect-garbage))
(in-package :collect)

(defun expect (held what) (unless held (error "not so: ~a" what)))

(defun apart (task)
  "Runs something on a stack of its own: what that leaves behind looks like references."
  (sb-thread:join-thread (sb-thread:make-thread task)))

(defun eventually (what holds)
  "Collects until something holds that finalizers bring about."
  (let ((limit (+ (get-universal-time) 20)))
    (loop until (funcall holds)
          do (expect (< (get-universal-time) limit) what)
             (apart (lambda () (sb-ext:gc :full t))))))

(defun keep (server)
  "Adds a handler which alone refers to something, and to its server: a circle."
  (let ((held (list server sb-thread:*current-thread*)))
    (on-get server "/load"
            (lambda (request)
              (let ((same (and (eq (first held) server)
                               (eq (second held) sb-thread:*current-thread*))))
                (reply request 200 (if same "true" "false")))))
    (sb-ext:make-weak-pointer held)))

(defun check-handlers ()
  "Asks a server that runs on this thread, while the collector works."
  (let* ((server (make-server))
         (weak (keep server))
         (url (format nil "http://127.0.0.1:~d/load" (listen-on server "127.0.0.1" 0)))
         (asker (sb-thread:make-thread
                 (lambda ()
                   (unwind-protect
                        (loop repeat 20
                              do (sb-ext:gc)
                              always (equalp (fetch url) (sb-ext:string-to-octets "true")))
                     (stop server))))))
    (run server)
    (expect (sb-thread:join-thread asker) "handlers run on the thread of RUN")
    (sb-ext:gc :full t)
    (expect (sb-ext:weak-pointer-value weak) "a handler lives as long as its server")
    (close-down server)
    (close-down server)
    weak))

(defun make-leaving ()
  "A server whose handlers do not return."
  (let ((server (make-server)))
    (on-get server "/throw" (lambda (request)
                              (declare (ignore request))
                              (throw 'out :left)))
    (on-get server "/serious" (lambda (request)
                                (declare (ignore request))
                                (error 'storage-condition)))
    server))

(defun check-leaving ()
  "Whichever way a handler ends, RUN goes on."
  (let* ((server (make-leaving))
         (port (listen-on server "127.0.0.1" 0))
         (asker (sb-thread:make-thread
                 (lambda ()
                   (unwind-protect
                        (loop for path in '("throw" "serious" "throw")
                              collect (nth-value
                                       1 (fetch (format nil "http://127.0.0.1:~d/~a" port path))))
                     (stop server))))))
    (expect (not (eq :left (catch 'out (run server)))) "a handler's throw ends with it")
    (expect (equal '(500 500 500) (sb-thread:join-thread asker)) "handlers that fail are 500s")
    (close-down server)))

(defun failing (use)
  (handler-case (progn (funcall use) nil)
    (apus-error (failure) (= (code failure) -1))))

(defun check-order (order)
  "Ends a server, a client and a socket in one order, twice."
  (let* ((server (make-server)) (client (make-client)) (socket (make-socket client))
         (objects (vector server client socket)))
    (dolist (which (append order order))
      (close-down (aref objects which))
      (sb-ext:gc))
    (expect (failing (lambda () (listen-on server "127.0.0.1" 0))) "an ended server says so")
    (expect (failing (lambda () (send socket ""))) "an ended socket says so")))

(defun leave ()
  "Makes objects and closes none."
  (let ((weak (keep (make-server))))
    (make-socket (make-client))
    (expect (= (live) 3) "there are a server, a client and a socket")
    weak))

(defun collect-garbage ()
  (let ((weak (apart #'check-handlers)))
    (eventually "a handler is let go with its server"
                (lambda () (null (sb-ext:weak-pointer-value weak)))))
  (apart #'check-leaving)
  (dolist (order '((0 1 2) (0 2 1) (1 0 2) (1 2 0) (2 0 1) (2 1 0)))
    (apart (lambda () (check-order order))))
  (expect (zerop (live)) "all that was closed has ended")
  (let ((weak (apart #'leave)))
    (eventually "the collector ends what nobody refers to"
                (lambda () (and (zerop (live)) (null (sb-ext:weak-pointer-value weak))))))
  (format t "gc ok~%"))
