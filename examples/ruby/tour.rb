# frozen_string_literal: true

# tour.rb - the binding in one program: tour.rb serve | get URL | ws URL TEXT
require_relative "apus"

# Serves until standard input ends.
def serve
  server = Apus::Server.new
  server.get("/hello/:name") { |request| "Hello, #{request["name"]}!\n" }
  server.get("/fail") { raise "this handler always fails" }
  server.events("/events") do |stream|
    1.upto(3) { |number| stream.event("tick #{number}", id: number) }
  end
  server.websocket("/echo") { |channel, message| channel << message }

  puts "http://127.0.0.1:#{server.listen("127.0.0.1", 0)}/"
  $stdout.flush
  server.start
  io = server.io
  loop do
    ready, = IO.select([$stdin, io])
    break if ready.include?($stdin) && $stdin.read_nonblock(512, exception: false).nil?
    server.tick(0)
  end
  server.stop
end

def get(url)
  $stdout.binmode.write(Apus.get(url).body)
end

def ws(url, text)
  channel = Apus::Client.new.open(url)
  channel.wait_open
  channel.send_text(text)
  puts channel.receive
  channel.hang_up
  channel.receive # until the peer has answered that
end

begin
  abort "usage: tour.rb serve | get URL | ws URL TEXT" unless %w[serve get ws].include?(ARGV[0])
  send(*ARGV)
rescue Apus::Error => e
  abort "tour: #{e.message}"
end
