#!/usr/bin/env perl
# lifetimes.pl - what destructors, in any order, do to the binding: "gc ok" if all holds.
use v5.20;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Scalar::Util qw(weaken);
use Apus;

sub check {
  my ($what, $holds) = @_;
  die "WRONG: $what\n" unless $holds;
}

sub live { Apus::call('apus_live_count', 0) }

# A callback lives as long as it can be called, and goes with its server.
sub test_kept {
  my ($server, $client) = (Apus::Server->new, Apus::Client->new);
  my $witness = { said => 'seen' };
  {
    my $held = $witness;    # which the callback alone holds, behind this block
    $server->get('/', sub { $_[0]->reply_text($held->{said}) if $_[0]->path eq '/' });
  }
  weaken $witness;
  my $port = $server->listen('127.0.0.1', 0);
  $server->start;
  for (1 .. 20) {
    check 'the callback is kept', defined $witness;
    my $fetch = $client->fetch(GET => "http://127.0.0.1:$port/");
    $fetch->start;
    $server->tick(10) until $fetch->wait(0);
    check 'the reply', $fetch->response->body eq 'seen';
  }
  $server->stop;
  undef $server;
  check 'the callback is released', !defined $witness;
}

# A server, a client and an open channel between them, which has echoed something.
sub connected {
  my ($server, $client) = (Apus::Server->new, Apus::Client->new);
  $server->websocket('/', sub { $_[0]->send_text($_[1]) });
  my $port = $server->listen('127.0.0.1', 0);
  $server->start;
  my $channel = $client->open("ws://127.0.0.1:$port/");
  $server->tick(10) until $channel->wait_open(0);
  $channel->send_text('x');
  my $answer;
  $server->tick(10) until ($answer) = $channel->receive(0);
  check 'the echo', $answer eq 'x';
  return ($server, $client, $channel);
}

# They go in each order, by hand and twice, or with their last reference.
sub test_orders {
  for my $order ([0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]) {
    for my $by_hand (0, 1) {
      my @objects = connected();
      for my $index (@$order) {
        if ($by_hand) {
          $objects[$index]->close;
          check 'closed twice', $objects[$index]->close == 0;
        }
        $objects[$index] = undef;
      }
      check 'all have ended', live() == 0;
    }
  }
}

sub test_stale {
  my $server = Apus::Server->new;
  check 'closed', $server->close == 1 && $server->close == 0;
  eval { $server->listen('127.0.0.1', 0) };
  check 'the error', ref $@ && $@->name eq 'APUS_E_HANDLE';
}

# Text with a NUL inside is refused; bytes stay bytes, however Perl keeps them.
sub test_strings {
  my ($server, $client) = (Apus::Server->new, Apus::Client->new);
  eval { $server->get("/a\0b", sub { }) };
  check 'a NUL inside text', $@ =~ /NUL/;
  my $bytes = "a\xff\0b";
  utf8::upgrade($bytes);
  my @answers;
  $server->get('/', sub { $_[0]->reply_data($bytes, 'application/octet-stream') });
  $server->get('/wide', sub { $_[0]->reply_data("\x{263a}", 'application/octet-stream') });
  my $port = $server->listen('127.0.0.1', 0);
  $server->start;
  local $SIG{__WARN__} = sub { };
  for my $path ('', 'wide') {
    my $fetch = $client->fetch(GET => "http://127.0.0.1:$port/$path");
    $fetch->start;
    $server->tick(10) until $fetch->wait(0);
    push @answers, $fetch->response;
  }
  check 'bytes of an upgraded scalar', $answers[0]->body eq "a\xff\0b";
  check 'what is no bytes', $answers[1]->status == 500;
}

test_kept();
test_strings();
test_orders();
test_stale();
check 'no handle is left', live() == 0;
say 'gc ok';
