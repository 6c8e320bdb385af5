# frozen_string_literal: true

# lifetimes.rb - what garbage collection may do to the binding: "gc ok" if all holds.
require_relative "apus"

MANY = 40

def check(what, holds)
  abort "WRONG: #{what}" unless holds
end

def collect = 4.times { GC.start(full_mark: true, immediate_sweep: true) }

def live = Apus::Library.live_count(0)

def ask(server, client, port, path = "")
  fetch = client.fetch("GET", "http://127.0.0.1:#{port}/#{path}")
  fetch.start
  server.tick(10) until fetch.wait(0)
  fetch.response
end

# Handlers are called on the thread that ticks, and live as long as they can be called.
def test_kept
  threads = []
  server, client = Apus::Server.new, Apus::Client.new
  server.get("/") do
    collect
    threads << Thread.current
    "seen"
  end
  port = server.listen("127.0.0.1", 0)
  server.start
  20.times do
    collect
    check "the reply", ask(server, client, port).body == "seen"
  end
  check "the thread", threads == [Thread.current] * 20
  server.stop
  server.close
end

# Servers whose handlers refer to them, and what those refer to; all in a frame of its own.
def make_cycles(seen)
  MANY.times do
    server = Apus::Server.new
    witness = Object.new
    server.get("/") { [server, witness].to_s }
    seen << server.object_id << witness.object_id
  end
  nil
end

def count_alive(ids)
  ids.count do |id|
    ObjectSpace._id2ref(id)
  rescue RangeError
    false
  end
end

# The collector of Ruby takes what looks like a reference on the stack for one, so it is the
# many that have to go, not each.
def test_released
  seen = []
  make_cycles(seen)
  check "handles before", live >= MANY
  10.times { |depth| [depth].each { collect } }
  check "handles after: #{live}", live <= MANY / 10
  check "objects after: #{count_alive(seen)}", count_alive(seen) <= MANY / 5
end

# A server, a client and an open channel between them, which has echoed something.
def connect
  server, client = Apus::Server.new, Apus::Client.new
  server.websocket("/") { |channel, message| channel << message }
  port = server.listen("127.0.0.1", 0)
  server.start
  channel = client.open("ws://127.0.0.1:#{port}/")
  server.tick(10) until channel.wait_open(0)
  channel.send_text("x")
  answer = nil
  server.tick(10) until (answer = channel.receive(0))
  check "the echo", answer == "x"
  [server, client, channel]
end

# They are closed in each order, and twice, and once more by the collector.
def test_orders
  [0, 1, 2].permutation do |order|
    objects = connect
    order.each do |index|
      objects[index].close
      check "closed twice", !objects[index].close
      collect
    end
  end
end

# They are left to the collector, in whatever order it likes.
def test_collected
  MANY.times { connect }
  nil
end

def test_stale
  server = Apus::Server.new
  check "closed", server.close && !server.close
  begin
    server.listen("127.0.0.1", 0)
    check "a server that has ended", false
  rescue Apus::Error => e
    check "its error", e.name == "APUS_E_HANDLE"
  end
end

# What a request does not have is nil, and an ended request an error.
def test_lent
  server, client = Apus::Server.new, Apus::Client.new
  seen = kept = nil
  server.get("/") do |request|
    kept = request
    seen = [request.header("X-None"), request.query("none"), request["none"], request.body,
            request.header("Host").nil?, request.path, request.method]
    nil
  end
  port = server.listen("127.0.0.1", 0)
  server.start
  check "an answer without the header", ask(server, client, port).header("X-None").nil?
  check "what is missing: #{seen}", seen == [nil, nil, nil, "", false, "/", "GET"]
  %i[path method].each do |name|
    kept.public_send(name)
    check "the #{name} of a request that has ended", false
  rescue Apus::Error => e
    check "its error", e.name == "APUS_E_HANDLE"
  end
  server.close
end

# Leaves a block otherwise than by its end: by what was a method's, by throw.
def add_leaving(server)
  server.get("/return") { return "never" }
  server.get("/throw") { throw :out }
  server.get("/raise") { raise "on purpose" }
  server.get("/next") { next "fine" }
end

# Whichever way a block ends, #tick returns.
def test_leaving
  server, client = Apus::Server.new, Apus::Client.new
  add_leaving(server)
  server.get("/break", &proc { break "never" })
  port = server.listen("127.0.0.1", 0)
  server.start
  %w[return throw raise next break].each do |how|
    ended = false
    catch(:out) do
      status = ask(server, client, port, how).status
      check "the status of #{how}: #{status}", status == (how == "next" ? 200 : 500)
      ended = true
    end
    check "#{how} left the tick", ended
  end
  server.close
end

test_kept
test_lent
test_leaving
test_released
test_orders
test_collected
test_stale
collect
check "handles at the end: #{live}", live <= MANY / 10 * 3
puts "gc ok"
