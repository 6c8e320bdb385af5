#!/usr/bin/env perl
# tour.pl - the binding in one program: tour.pl serve | get URL | ws URL TEXT
use v5.20;
use warnings;
use Encode qw(decode);
use FindBin;
use IO::Handle;
use IO::Select;
use lib $FindBin::Bin;
use Apus;

# Serves until standard input ends.
sub serve {
  my $server = Apus::Server->new;
  $server->get('/hello/:name', sub {
    my ($request) = @_;
    $request->reply_text('Hello, ' . $request->param('name') . "!\n");
  });
  $server->get('/fail', sub { die "this handler always fails\n" });
  $server->events('/events', sub {
    my ($stream) = @_;
    $stream->send("tick $_", $_) for 1 .. 3;
  });
  $server->websocket('/echo', sub {
    my ($channel, $message, $is_text) = @_;
    $is_text ? $channel->send_text($message) : $channel->send_binary($message);
  });

  STDOUT->autoflush(1);
  printf "http://127.0.0.1:%d/\n", $server->listen('127.0.0.1', 0);
  $server->start;
  my $input = fileno STDIN;
  my $select = IO::Select->new($input, $server->event_fd);
  while (1) {
    my $ends = grep { $_ == $input } $select->can_read;
    last if $ends && !sysread STDIN, my $bytes, 512;
    $server->tick(0);
  }
  $server->stop;
}

sub get {
  my ($url) = @_;
  binmode STDOUT;
  print Apus::get($url)->body;
}

sub ws {
  my ($url, $text) = @_;
  my $channel = Apus::Client->new->open($url);
  $channel->wait_open;
  $channel->send_text(decode('UTF-8', $text));
  my ($answer) = $channel->receive;
  binmode STDOUT, ':encoding(UTF-8)';
  say $answer;
  $channel->hang_up;
  $channel->receive;    # until the peer has answered that
}

my ($command, @arguments) = @ARGV;
my %commands = (serve => \&serve, get => \&get, ws => \&ws);
my $run = $commands{ $command // '' } // die "usage: tour.pl serve | get URL | ws URL TEXT\n";
unless (eval { $run->(@arguments); 1 }) {
  chomp(my $problem = "$@");
  say STDERR "tour: $problem";
  exit 1;
}
