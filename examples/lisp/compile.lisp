;;;; compile.lisp - compiles the sources beside it into one file in $APUS_OUT.

(let* ((out (concatenate 'string (sb-ext:posix-getenv "APUS_OUT") "/"))
       (parts (loop for name in '("apus" "collect" "example")
                    for part = (concatenate 'string out name ".part")
                    do (multiple-value-bind (file warnings failed)
                           (compile-file (concatenate 'string name ".lisp") :output-file part)
                         (declare (ignore warnings))
                         (when (or failed (null file)) (sb-ext:exit :code 1)))
                       (unless (string= name "example") (load part))
                    collect part)))
  (with-open-file (whole (concatenate 'string out "example.fasl") :direction :output
                         :if-exists :supersede :element-type '(unsigned-byte 8))
    (dolist (part parts)
      (with-open-file (stream part :element-type '(unsigned-byte 8))
        (let ((bytes (make-array (file-length stream) :element-type '(unsigned-byte 8))))
          (read-sequence bytes stream)
          (write-sequence bytes whole))))))
