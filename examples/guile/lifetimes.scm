;;; lifetimes.scm - what garbage collection may do to the binding: "gc ok" if all holds.
(use-modules (apus) (ice-9 match) (ice-9 threads) (rnrs bytevectors) (srfi srfi-1))

(define many 40)

(define (check what holds)
  (unless holds
    (format (current-error-port) "WRONG: ~a\n" what)
    (exit 1)))

;; Finalizers run on a thread of Guile's own: time is given to it, up to a limit, as long
;; as what should be is not.
(define (eventually holds?)
  (let loop ((rounds 2000))
    (gc)
    (cond ((holds?) #t)
          ((zero? rounds) #f)
          (else (usleep 1000) (loop (1- rounds))))))

(define (ask server client port)
  (let ((fetch (client-fetch client "GET" (format #f "http://127.0.0.1:~a/" port))))
    (fetch-start fetch)
    (let loop ()
      (unless (fetch-wait fetch 0)
        (server-tick server 10)
        (loop)))
    (utf8->string (response-body (fetch-response fetch)))))

;; Procedures are called on the thread that ticks, and live as long as they can be called.
(define (test-kept)
  (let* ((server (make-server)) (client (make-client)) (threads '()))
    (server-get server "/"
      (lambda (request)
        (gc)
        (set! threads (cons (current-thread) threads))
        (reply-text request (request-path request))))
    (let ((port (server-listen server "127.0.0.1" 0)))
      (server-start server)
      (do ((round 0 (1+ round))) ((= round 20))
        (gc)
        (check "the reply" (string=? "/" (ask server client port)))))
    (check "the threads" (and (= 20 (length threads))
                              (every (lambda (thread) (eq? thread (current-thread))) threads)))
    (server-stop server)
    (close-handle server)
    (close-handle client)))

;; Servers whose procedures refer to them, and what those refer to.
(define (make-cycles guardian)
  (do ((round 0 (1+ round))) ((= round many))
    (let* ((server (make-server)) (witness (list round)))
      (guardian witness)
      (server-get server "/" (lambda (request) (list server witness))))))

(define (count-guarded guardian)
  (let loop ((count 0)) (if (guardian) (loop (1+ count)) count)))

;; The collector takes what looks like a reference for one: the many have to go, not each.
(define (test-released)
  (let ((guardian (make-guardian)) (before (live-count)) (gone 0))
    (make-cycles guardian)
    (check "servers are there" (= (live-count) (+ before many)))
    (check "servers go" (eventually (lambda () (<= (live-count) (+ before (quotient many 4))))))
    (check "what they refer to goes"
           (eventually (lambda ()
                         (set! gone (+ gone (count-guarded guardian)))
                         (>= gone (- many (quotient many 4))))))))

;; A server, a client and an open channel between them, which has echoed something.
(define (connect)
  (let ((server (make-server)) (client (make-client)))
    (server-websocket server "/" channel-send)
    (let* ((port (server-listen server "127.0.0.1" 0))
           (_ (server-start server))
           (channel (client-open client (format #f "ws://127.0.0.1:~a/" port))))
      (let loop ()
        (unless (channel-wait-open channel 0)
          (server-tick server 10)
          (loop)))
      (channel-send channel "x")
      (let loop ((answer #f))
        (if answer
            (check "the echo" (equal? answer "x"))
            (begin (server-tick server 10) (loop (channel-receive channel 0)))))
      (list server client channel))))

;; They are closed in each order, and twice, and once more by the collector.
(define (test-orders)
  (for-each
   (lambda (order)
     (let ((objects (connect)))
       (for-each
        (lambda (index)
          (close-handle (list-ref objects index))
          (check "closed twice" (= 0 (close-handle (list-ref objects index))))
          (gc))
        order)))
   '((0 1 2) (0 2 1) (1 0 2) (1 2 0) (2 0 1) (2 1 0))))

;; They are left to the collector, in whatever order it likes.
(define (test-collected)
  (do ((round 0 (1+ round))) ((= round 10)) (connect))
  (check "what was left goes" (eventually (lambda () (<= (live-count) (quotient many 2))))))

(define (test-stale)
  (let ((server (make-server)))
    (check "closed" (and (= 1 (close-handle server)) (= 0 (close-handle server))))
    (with-exception-handler
        (lambda (problem)
          (check "the error" (equal? "APUS_E_HANDLE" (apus-error-name problem))))
      (lambda ()
        (server-listen server "127.0.0.1" 0)
        (check "a server that has ended" #f))
      #:unwind? #t
      #:unwind-for-type &apus-error)))

(test-kept)
(test-released)
(test-orders)
(test-collected)
(test-stale)
(display "gc ok\n")
