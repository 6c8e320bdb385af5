# Apus.pm - libapus for Perl, by FFI::Platypus; the types of its functions are those of
# apus.abi.json.
#
# All callbacks are called in $server->tick, on the thread that ticks. They are kept by the
# object that they were given to, and not dropped by the library: it may do that on a thread
# of its own, where no Perl can run. A callback that refers to its own server keeps that
# alive, as everywhere in Perl: weaken the reference.
#
# Text is characters, encoded and decoded here as UTF-8; data are bytes.
#
# SPDX-License-Identifier: Apache-2.0
use v5.20;
use strict;
use warnings;

# What the library says of a call that failed.
package Apus::Error {
  use overload '""' => sub { "$_[0]{message} ($_[0]{name})" }, fallback => 1;
  sub code { $_[0]{code} }
  sub name { $_[0]{name} }
}

# The functions, and what calls back.
package Apus {
  use Encode qw(decode);
  use FFI::Platypus 1.00;
  use FFI::Platypus::Buffer qw(buffer_to_scalar);
  use JSON::PP qw(decode_json);
  use Scalar::Util qw(weaken);

  my $prefix = $ENV{APUS_PREFIX} // '/usr/local';
  my $ffi = FFI::Platypus->new(api => 1, lib => "$prefix/lib/libapus.so.1");
  my $described = do {
    open my $file, '<:raw', "$prefix/share/apus/apus.abi.json" or die "apus.abi.json: $!\n";
    local $/;
    decode_json(<$file>);
  };
  our %constant = map { $_->{name} => $_->{value} } @{ $described->{constants} };
  my %functions = map { $_->{name} => $_ } @{ $described->{functions} };
  my %handles = map { $_ => 1 } @{ $described->{handles} };
  my %made;

  sub type_of {
    my ($item) = @_;
    my $type = $item->{type};
    return 'uint64' if $handles{$type};
    return 'size_t*' if $type eq 'size_t *';
    return 'string' if ($item->{role} // '') =~ /^(?:text|bytes)$/;
    return $type =~ /\*|_fn$/ ? 'opaque' : $type;
  }

  # Text would end at a NUL inside; data are bytes, also where Perl keeps them as characters.
  sub prepare {
    my $role = $_[0] // '';
    die "a NUL inside text\n" if $role eq 'text' && index($_[1], "\0") >= 0;
    utf8::downgrade($_[1], 1) or die "data with characters above 255\n" if $role eq 'bytes';
  }

  # Calls a function; dies as Apus::Error where it fails.
  sub call {
    my ($name, @given) = @_;
    my $item = $functions{$name} // die "no function $name\n";
    my $role = $item->{returns}{role};
    prepare($item->{arguments}[$_]{role}, $given[$_]) for grep { defined $given[$_] } 0 .. $#given;
    $made{$name} //= $ffi->function($name => [map { type_of($_) } @{ $item->{arguments} }],
      $role eq 'borrowed' ? 'opaque' : type_of($item->{returns}));
    my $result = $made{$name}->call(@given);
    fail() if $role eq 'code' ? $result < 0 : $role ne 'number' && !$result;
    return $result;
  }

  my $last = $ffi->function(apus_last_error => [] => 'int32_t');
  my $name_of = $ffi->function(apus_error_name => ['int32_t'] => 'string');
  my $sentence = $ffi->function(apus_last_error_message => [] => 'string');

  sub fail {
    my $code = $last->call;
    die bless { code => $code, name => $name_of->call($code), message => $sentence->call },
      'Apus::Error';
  }

  # Bytes that a function lends, with their length as its last argument; undef: none.
  sub taken {
    my ($name, @given) = @_;
    my $length = 0;
    my $data = eval { call($name, @given, \$length) };
    return $length ? buffer_to_scalar($data, $length) : '' if defined $data;
    die $@ unless ref $@ && $@->name eq 'APUS_E_NOT_FOUND';
    return;
  }

  sub text {
    my $data = taken(@_);
    return defined $data ? decode('UTF-8', $data) : undef;
  }

  # The same of a function that lends text up to its NUL.
  sub string { decode('UTF-8', $ffi->cast(opaque => 'string', call(@_))) }

  # ---- callbacks: one of C for each type, which finds the Perl one by the context

  my (%kept, $count);

  sub keep {
    my ($keeper, $closure, $code) = @_;
    my $box = { code => $code };
    push @$keeper, $box;
    $kept{ ++$count } = $box;
    weaken $kept{$count};
    return ($closure, $count, undef);
  }

  # Whether the function did not die; what it said is reported.
  sub run {
    my ($context, @given) = @_;
    my $box = $kept{$context} // return;
    return 1 if eval { $box->{code}->(@given); 1 };
    warn "a callback failed: $@";
    return;
  }

  # Closures that live as long as the program does.
  sub closure {
    my ($type, $code) = @_;
    my $closure = $ffi->closure($code);
    $closure->sticky;
    return $ffi->cast($type => 'opaque', $closure);
  }

  our $on_request = closure('(opaque,uint64)->void', sub {
    my ($context, $handle) = @_;
    my $request = bless { handle => $handle }, 'Apus::Request';
    run($context, $request) or eval { call('apus_reply_status', $handle, 500) };
  });
  our $on_events = closure('(opaque,uint64,uint64)->void', sub {
    my ($context, $writer, $handle) = @_;
    my $stream = bless { handle => $writer }, 'Apus::Stream';
    eval { call('apus_writer_end', $writer) }
      if run($context, $stream, bless { handle => $handle }, 'Apus::Request');
    call('apus_writer_destroy', $writer);
  });
  our $on_message = closure('(opaque,uint64,int32_t,opaque,size_t)->void', sub {
    my ($context, $handle, $opcode, $data, $length) = @_;
    my $channel = bless { handle => $handle, borrowed => 1 }, 'Apus::Channel';
    run($context, $channel, Apus::Channel::message($opcode, $data, $length))
      or eval { call('apus_channel_close', $handle, 1011, undef, 0) };
  });
  our $on_open = closure('(opaque,uint64,uint64)->void', sub { });

  # One request over a connection of its own.
  sub get {
    my ($url) = @_;
    return Apus::Response->own(call('apus_get', $url, undef));
  }
}

# A handle that ends with close, or with the last reference.
package Apus::Handle {
  sub own {
    my ($class, $handle, %fields) = @_;
    return bless { handle => $handle, %fields }, $class;
  }

  # 1, or 0 if it had ended.
  sub close {
    my ($self) = @_;
    return Apus::call('apus_' . $self->kind . '_destroy', $self->{handle});
  }

  # Calls apus_KIND_set_OPTION().
  sub set {
    my ($self, $option, @values) = @_;
    Apus::call('apus_' . $self->kind . "_set_$option", $self->{handle}, @values);
    return $self;
  }

  sub DESTROY {
    my ($self) = @_;
    local $@;
    # What is left when the program ends, ends with it.
    $self->close unless $self->{borrowed} || ${^GLOBAL_PHASE} eq 'DESTRUCT';
  }
}

package Apus::Request {
  sub path { Apus::string('apus_request_path', $_[0]{handle}) }
  sub body { Apus::taken('apus_request_body', $_[0]{handle}) }
  sub param { Apus::text('apus_request_param', $_[0]{handle}, $_[1]) }
  sub query { Apus::text('apus_request_query_param', $_[0]{handle}, $_[1]) }
  sub header { Apus::text('apus_request_header', $_[0]{handle}, $_[1]) }

  sub set_header {
    my ($self, $name, $value) = @_;
    Apus::call('apus_reply_set_header', $self->{handle}, $name, $value);
  }

  sub reply_text {
    my ($self, $text, $status) = @_;
    utf8::encode($text);
    $self->reply_data($text, 'text/plain; charset=utf-8', $status);
  }

  sub reply_data {
    my ($self, $data, $type, $status) = @_;
    Apus::call('apus_reply', $self->{handle}, $status // 200, $type, $data, length $data);
  }
}

package Apus::Stream {
  # An event, with an id and a type, or undef.
  sub send {
    my ($self, $data, $id, $type) = @_;
    utf8::encode($data);
    Apus::call('apus_writer_event', $self->{handle}, $type, $id, $data, length $data);
  }
}

package Apus::Channel {
  our @ISA = ('Apus::Handle');
  use Encode qw(decode);
  use FFI::Platypus::Buffer qw(buffer_to_scalar scalar_to_pointer);
  sub kind { 'channel' }

  # A message and whether it is text.
  sub message {
    my ($opcode, $data, $length) = @_;
    my $bytes = $length ? buffer_to_scalar($data, $length) : '';
    my $is_text = $opcode == $Apus::constant{APUS_OPCODE_TEXT};
    return ($is_text ? decode('UTF-8', $bytes) : $bytes, $is_text);
  }

  sub send_text {
    my ($self, $text) = @_;
    utf8::encode($text);
    Apus::call('apus_channel_send_text', $self->{handle}, $text, length $text);
  }

  sub send_binary {
    my ($self, $data) = @_;
    Apus::call('apus_channel_send_binary', $self->{handle}, $data, length $data);
  }

  # 1 when it is open, 0 when the time has passed.
  sub wait_open { Apus::call('apus_channel_wait_open', $_[0]{handle}, $_[1] // -1) }

  # The next message; an empty list when the time has passed, or none is left.
  sub receive {
    my ($self, $timeout) = @_;
    my $message = "\0" x 56;
    my $got = eval {
      Apus::call('apus_channel_recv', $self->{handle}, scalar_to_pointer($message), $timeout // -1);
    };
    die $@ if !defined $got && !(ref $@ && $@->name eq 'APUS_E_CLOSED');
    return unless $got;
    my ($opcode, undef, $data, $length) = unpack 'llQQ', $message;
    return message($opcode, $data, $length);
  }

  sub hang_up { Apus::call('apus_channel_close', $_[0]{handle}, $_[1] // 1000, undef, 0) }
}

package Apus::Server {
  our @ISA = ('Apus::Handle');
  sub kind { 'server' }
  sub new { $_[0]->own(Apus::call('apus_server_make'), kept => []) }

  # The callback takes a request, and replies to it.
  sub route {
    my ($self, $method, $pattern, $code) = @_;
    Apus::call('apus_server_route_named', $self->{handle}, $method, $pattern,
      Apus::keep($self->{kept}, $Apus::on_request, $code));
  }
  sub get { shift->route('GET', @_) }
  sub post { shift->route('POST', @_) }

  # The callback takes a stream and a request.
  sub events {
    my ($self, $pattern, $code) = @_;
    Apus::call('apus_server_events', $self->{handle}, $pattern,
      Apus::keep($self->{kept}, $Apus::on_events, $code));
  }

  # The callback takes a channel, a message, and whether that is text.
  sub websocket {
    my ($self, $pattern, $code) = @_;
    my $route =
      Apus::call('apus_server_websocket', $self->{handle}, $pattern, $Apus::on_open, undef, undef);
    Apus::call('apus_server_on_message', $self->{handle}, $route,
      Apus::keep($self->{kept}, $Apus::on_message, $code));
  }

  # Returns the port.
  sub listen {
    my ($self, $host, $port) = @_;
    return Apus::call('apus_server_port', $self->{handle},
      Apus::call('apus_server_listen', $self->{handle}, $host, $port));
  }
  sub start { Apus::call('apus_server_start', $_[0]{handle}) }
  sub stop { Apus::call('apus_server_stop', $_[0]{handle}) }
  sub tick { Apus::call('apus_server_tick', $_[0]{handle}, $_[1] // -1) }
  sub event_fd { Apus::call('apus_server_event_fd', $_[0]{handle}) }
}

package Apus::Response {
  our @ISA = ('Apus::Handle');
  sub kind { 'response' }
  sub status { Apus::call('apus_response_status', $_[0]{handle}) }
  sub body { Apus::taken('apus_response_body', $_[0]{handle}) }
  sub header { Apus::text('apus_response_header', $_[0]{handle}, $_[1]) }
}

package Apus::Fetch {
  our @ISA = ('Apus::Handle');
  sub kind { 'fetch' }
  sub start { Apus::call('apus_fetch_start', $_[0]{handle}) }
  # 1 when it is done, 0 when the time has passed.
  sub wait { Apus::call('apus_fetch_wait', $_[0]{handle}, $_[1] // -1) }

  sub response {
    my ($self) = @_;
    Apus::call('apus_fetch_result', $self->{handle});
    my $handle = Apus::call('apus_fetch_response', $self->{handle});
    Apus::call('apus_response_keep', $handle);
    return Apus::Response->own($handle);
  }
}

package Apus::Client {
  our @ISA = ('Apus::Handle');
  sub kind { 'client' }
  sub new { $_[0]->own(Apus::call('apus_client_make')) }

  sub fetch {
    my ($self, $method, $url) = @_;
    my $handle = Apus::call('apus_fetch_make', $self->{handle}, $method, $url);
    return Apus::Fetch->own($handle, client => $self);
  }

  # Begins to open a WebSocket.
  sub open {
    my ($self, $url) = @_;
    my $channel =
      Apus::Channel->own(Apus::call('apus_channel_make', $self->{handle}), client => $self);
    Apus::call('apus_channel_open', $channel->{handle}, $url);
    return $channel;
  }
}

1;
