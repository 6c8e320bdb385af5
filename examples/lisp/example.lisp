;;;; example.lisp - a server and a client.

(defpackage :example (:use :cl :apus))
(in-package :example)

(defun hello (request)
  (reply request 200 (format nil "Hello, ~a!~%" (param request "name"))))

(defun ticks (writer request)
  (declare (ignore request))
  (loop for id from 1 to 3
        do (event writer (format nil "~d" id) (format nil "tick ~d" id)))
  (finish writer))

(defun fail (request)
  (declare (ignore request))
  (error "on purpose"))

(defun serve ()
  (let ((server (make-server)))
    (on-get server "/hello/:name" #'hello)
    (on-get server "/fail" #'fail)
    (on-events server "/events" #'ticks)
    (on-message server "/echo" #'send)
    (format t "http://127.0.0.1:~d/~%" (listen-on server "127.0.0.1" 0))
    (finish-output)
    ;; It ends with its input.
    (sb-thread:make-thread (lambda ()
                             (loop while (read-char *standard-input* nil))
                             (stop server)))
    (run server)
    (close-down server)))

(defun write-octets (octets)
  (let ((output (sb-sys:make-fd-stream 1 :output t :element-type '(unsigned-byte 8)
                                         :buffering :full)))
    (write-sequence octets output)
    (finish-output output)))

(defun talk (url text)
  (let ((socket (make-socket (make-client))))
    (open-url socket url)
    (send socket text)
    (format t "~a~%" (receive socket))
    (finish-output)
    (close-down socket)))

(defun main (words)
  (let ((count (length words)))
    (destructuring-bind (&optional (command "") first second &rest more) words
      (declare (ignore more))
      (cond ((string= command "serve") (serve))
            ((string= command "gc") (collect:collect-garbage))
            ((and (string= command "get") (= count 2)) (write-octets (fetch first)))
            ((and (string= command "ws") (= count 3)) (talk first second))
            (t (error "usage: example serve | get URL | ws URL TEXT | gc"))))))

(handler-case (main (rest sb-ext:*posix-argv*))
  (error (failure)
    (format *error-output* "~a~%" failure)
    (sb-ext:exit :code 1 :abort t)))
(finish-output)
(sb-ext:exit :code 0 :abort t) ; without waiting for who reads the input
