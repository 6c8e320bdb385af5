;;; tour.scm - the binding in one program: tour.scm serve | get URL | ws URL TEXT
(use-modules (apus) (ice-9 binary-ports) (ice-9 exceptions) (ice-9 match))

;; Serves until standard input ends.
(define (serve)
  (let ((server (make-server)))
    (server-get server "/hello/:name"
      (lambda (request)
        (reply-text request (string-append "Hello, " (request-param request "name") "!\n"))))
    (server-get server "/fail" (lambda (request) (error "this handler always fails")))
    (server-events server "/events"
      (lambda (stream request)
        (for-each (lambda (id) (event-send stream (string-append "tick " id) id))
                  '("1" "2" "3"))))
    (server-websocket server "/echo" channel-send)

    (format #t "http://127.0.0.1:~a/\n" (server-listen server "127.0.0.1" 0))
    (force-output)
    (server-start server)
    (let loop ()
      (match (select (list 0 (server-event-fd server)) '() '())
        ((ready _ _)
         (server-tick server 0)
         (unless (and (memv 0 ready) (eof-object? (get-bytevector-some (current-input-port))))
           (loop)))))
    (server-stop server)))

(define (get url)
  (put-bytevector (current-output-port) (response-body (http-get url))))

(define (ws url text)
  (let ((channel (client-open (make-client) url)))
    (channel-wait-open channel -1)
    (channel-send channel text)
    (format #t "~a\n" (channel-receive channel -1))
    (channel-hang-up channel)
    (channel-receive channel -1))) ; until the peer has answered that

(setlocale LC_ALL "")
(with-exception-handler
    (lambda (problem)
      (format (current-error-port) "tour: ~a\n" (exception-message problem))
      (exit 1))
  (lambda ()
    (match (cdr (program-arguments))
      (("serve") (serve))
      (("get" url) (get url))
      (("ws" url text) (ws url text))))
  #:unwind? #t
  #:unwind-for-type &message)
