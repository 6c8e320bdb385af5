<?php
/*
 * apus.php - libapus for PHP, by ext-ffi; the declarations are those of apus.h itself.
 *
 * All callbacks are called in Server::tick(), on the thread that ticks. They are kept by the
 * server that they were given to, and not dropped by the library: it may do that on a thread
 * of its own, where no PHP can run.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
declare(strict_types=1);

namespace Apus;

/* What the library says of a call that failed; its code is one of APUS_E_*. */
final class Error extends \RuntimeException
{
    public function __construct(public readonly string $name, string $message, int $code)
    {
        parent::__construct("$message ($name)", $code);
    }
}

/* The functions, and what calls back. */
final class Library
{
    private static ?\FFI $ffi = null;
    private static array $closures = [];
    private static array $kept = [];
    private static int $last = 0;

    public static function ffi(): \FFI
    {
        if (self::$ffi === null) {
            $prefix = getenv('APUS_PREFIX') ?: '/usr/local';
            $header = file_get_contents("$prefix/include/apus.h");
            self::$ffi = \FFI::cdef(self::declarations($header), "$prefix/lib/libapus.so.1");
        }
        return self::$ffi;
    }

    /* Strings of PHP are taken where a char * is wanted, and made of each const char * that
     * comes: so bytes go in as the one, and bytes with a length come out as a void *. A
     * context is a number here, which has the size of a pointer. */
    private static function declarations(string $header): string
    {
        $other = ['~/\*.*?\*/~s', '/^#.*$/m', '/extern "C" \{/', '/\}\s*$/'];
        $text = preg_replace($other, '', $header);
        $text = str_replace('void *context', 'uintptr_t context', $text);
        return preg_replace_callback('/APUS_API (const char \*)?(.*?;)/s', function ($match) {
            $lends = $match[1] !== '' && str_ends_with($match[2], 'size_t *length);');
            $takes = str_replace('const void *', 'const char *', $match[2]);
            return ($lends ? 'const void *' : $match[1]) . $takes;
        }, $text);
    }

    /* Calls a function, without "apus_"; throws where its result is an error. */
    public static function call(string $name, mixed ...$given): mixed
    {
        $result = self::ffi()->{"apus_$name"}(...$given);
        if ($result === null || (is_int($result) && $result < 0)) {
            throw self::error();
        }
        return $result;
    }

    /* A handle that a function has made. */
    public static function made(string $name, mixed ...$given): int
    {
        return self::call($name, ...$given) ?: throw self::error();
    }

    private static function error(): Error
    {
        $code = self::ffi()->apus_last_error();
        return new Error(self::ffi()->apus_error_name($code),
            self::ffi()->apus_last_error_message(), $code);
    }

    /* Bytes that a function lends, with their length as its last argument; null: none. */
    public static function taken(string $name, mixed ...$given): ?string
    {
        $length = self::ffi()->new('size_t');
        $given[] = \FFI::addr($length);
        try {
            return \FFI::string(self::call($name, ...$given), $length->cdata);
        } catch (Error $error) {
            return $error->name === 'APUS_E_NOT_FOUND' ? null : throw $error;
        }
    }

    /* Text that must not hold a NUL, since the library would read up to it. */
    public static function text(string $text): string
    {
        return str_contains($text, "\0") ? throw new \ValueError('a NUL inside text') : $text;
    }

    /* The arguments by which a callback is handed over: a function of C, of which there is
     * one for each type, and a number by which that finds the callback. */
    public static function keep(\ArrayObject $keeper, string $type, \Closure $callback): array
    {
        self::$closures[$type] ??= self::closure($type);
        $number = ++self::$last;
        $keeper[$number] = $callback;
        self::$kept[$number] = \WeakReference::create($callback);
        return [self::$closures[$type], $number, null];
    }

    /* Forgets the callbacks of an object that has ended. */
    public static function forget(\ArrayObject $keeper): void
    {
        foreach ($keeper as $number => $_) {
            unset(self::$kept[$number]);
        }
    }

    private static function closure(string $type): \Closure
    {
        return match ($type) {
            'handler' => fn($number, $handle) => self::run($number, new Request($handle))
                || self::ffi()->apus_reply_status($handle, 500),
            'events' => function ($number, $writer, $handle) {
                if (self::run($number, new Stream($writer), new Request($handle))) {
                    self::ffi()->apus_writer_end($writer);
                }
                self::ffi()->apus_writer_destroy($writer);
            },
            'message' => fn($number, $handle, $opcode, $data, $length) => self::run($number,
                new Channel($handle, false), \FFI::string($data, $length), $opcode === 1)
                || self::ffi()->apus_channel_close($handle, 1011, null, 0),
            'open' => fn() => null,
        };
    }

    /* Whether the callback did not throw; what it threw is reported. */
    private static function run(int $number, mixed ...$given): bool
    {
        try {
            (self::$kept[$number]->get())(...$given);
            return true;
        } catch (\Throwable $thrown) {
            fwrite(STDERR, "a callback failed: $thrown\n");
            return false;
        }
    }
}

/* A handle that ends with close(), or with the last reference. */
abstract class Handle
{
    protected const KIND = '';

    /* What was made of another object keeps that alive. */
    public function __construct(public readonly int $handle, private bool $owned = true,
        private ?Handle $of = null)
    {
    }

    /* False if it had ended. */
    public function close(): bool
    {
        return $this->call('destroy') === 1;
    }

    /* Calls apus_KIND_set_OPTION(). */
    public function set(string $option, mixed ...$values): static
    {
        $this->call("set_$option", ...$values);
        return $this;
    }

    public function __destruct()
    {
        if ($this->owned) {
            $this->close();
        }
    }

    protected function call(string $name, mixed ...$given): mixed
    {
        return Library::call(static::KIND . "_$name", $this->handle, ...$given);
    }

    protected function taken(string $name, mixed ...$given): ?string
    {
        return Library::taken(static::KIND . "_$name", $this->handle, ...$given);
    }
}
