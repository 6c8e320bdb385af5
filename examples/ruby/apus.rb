# frozen_string_literal: true

# apus.rb - libapus for Ruby, by Fiddle; the types of its functions are those of
# apus.abi.json.
#
# All blocks are called in Server#tick, on the thread that ticks. They are kept by the object
# that they were given to, and not dropped by the library: it may do that on a thread of its
# own, where no Ruby can run.
#
# SPDX-License-Identifier: Apache-2.0

require "fiddle"
require "json"

module Apus
  # What the library says of a call that failed.
  class Error < StandardError
    attr_reader :code, :name

    def initialize(code, name, message)
      super("#{message} (#{name})")
      @code, @name = code, name
    end
  end

  # The functions by their names, without "apus_"; those that fail raise Error.
  module Library
    PREFIX = ENV.fetch("APUS_PREFIX", "/usr/local")
    LOADED = Fiddle.dlopen("#{PREFIX}/lib/libapus.so.1")
    DESCRIPTION = JSON.parse(File.read("#{PREFIX}/share/apus/apus.abi.json"))
    CONSTANTS = DESCRIPTION["constants"].to_h { |item| [item["name"], item["value"]] }
    CALLBACKS = DESCRIPTION["callbacks"].to_h { |item| [item["name"], item] }
    TYPES = { "void" => Fiddle::TYPE_VOID, "int32_t" => Fiddle::TYPE_INT,
              "uint32_t" => -Fiddle::TYPE_INT, "int64_t" => Fiddle::TYPE_LONG_LONG,
              "uint64_t" => -Fiddle::TYPE_LONG_LONG, "size_t" => Fiddle::TYPE_SIZE_T }.merge(
                DESCRIPTION["handles"].to_h { |name| [name, -Fiddle::TYPE_LONG_LONG] }
              ).freeze

    def self.type(item)
      TYPES.fetch(item["type"], Fiddle::TYPE_VOIDP)
    end

    def self.function(described)
      arguments = described["arguments"]
      texts = arguments.each_index.select { |index| arguments[index]["role"] == "text" }
      raw = Fiddle::Function.new(LOADED[described["name"]],
                                 arguments.map { |item| type(item) }, type(described["returns"]))
      role = described["returns"]["role"]
      lambda do |*given|
        if given.values_at(*texts).any? { |text| text&.include?("\0") }
          raise ArgumentError, "a NUL inside text"
        end
        result = raw.call(*given)
        raise error if failed?(role, result)
        result
      end
    end

    # A result is an Integer, or a Fiddle::Pointer, which is not equal to 0 when it is NULL.
    def self.failed?(role, result)
      case role
      when "code" then result.negative?
      when "handle", "borrowed" then result.to_i.zero?
      end
    end

    DESCRIPTION["functions"].each do |described|
      made = nil
      define_singleton_method(described["name"].delete_prefix("apus_")) do |*given|
        (made ||= function(described)).call(*given)
      end
    end

    LAST = Fiddle::Function.new(LOADED["apus_last_error"], [], Fiddle::TYPE_INT)

    def self.error
      code = LAST.call
      Error.new(code, error_name(code).to_s, last_error_message.to_s.force_encoding("UTF-8"))
    end

    # Bytes that a function lends, with their length as its last argument; nil: none.
    def self.taken(name, *given)
      length = "\0" * 8
      data = public_send(name, *given, length)
      data[0, length.unpack1("J")]
    rescue Error => e
      raise unless e.name == "APUS_E_NOT_FOUND"
    end

    def self.text(name, *given)
      taken(name, *given)&.force_encoding("UTF-8")
    end

    # ---- blocks: a function of C for each type finds the block by the context, a number

    KEPT = ObjectSpace::WeakMap.new
    Block = Struct.new(:call)

    # The arguments that hand a block over; keeper holds it.
    def self.keep(keeper, closure, block)
      kept = Block.new(block)
      keeper << kept
      KEPT[kept.object_id] = kept
      [closure, kept.object_id, nil]
    end

    # A function of C of a callback's type.
    def self.closure(name)
      described = CALLBACKS.fetch(name)
      result = type({ "type" => described["returns"] })
      arguments = described["arguments"].map { |item| type(item) }
      Fiddle::Closure::BlockCaller.new(result, arguments) do |context, *given|
        block = KEPT[context.to_i]&.call
        Library.contain(given) { yield(block, *given) }
      end
    end

    # Nothing leaves here but by the end, since it would jump through the frames of C: what
    # the block raises is reported, and a throw, return or break ends here, too.
    def self.contain(given)
      problem = "it was left by throw, return or break"
      yield
      problem = nil
    rescue Exception => e # rubocop:disable Lint/RescueException
      problem = e.full_message(highlight: false)
    ensure
      give_up(problem, given) if problem
      return nil # rubocop:disable Lint/EnsureReturn
    end

    def self.give_up(problem, given)
      warn "a block failed: #{problem}"
      given.each { |it| abandon(it) if it.is_a?(Integer) }
    end

    # What becomes of the object whose callback has failed.
    def self.abandon(handle)
      case handle_kind(handle)
      when CONSTANTS["APUS_KIND_REQUEST"] then reply_status(handle, 500)
      when CONSTANTS["APUS_KIND_CHANNEL"] then channel_close(handle, 1011, nil, 0)
      end
    rescue Error
      nil # it was answered, or has gone
    end
  end

  # A handle of the library's, which ends with #close or with its last reference.
  class Handle
    attr_reader :handle

    def self.kind = name.split("::").last.downcase

    def self.finalizer(kind, handle)
      proc { Library.public_send("#{kind}_destroy", handle) }
    end

    # What is made of another object keeps that alive.
    def initialize(handle, owned: true, of: nil)
      @handle, @of = handle, of
      ObjectSpace.define_finalizer(self, Handle.finalizer(self.class.kind, handle)) if owned
    end

    # False if it had ended.
    def close = call(:destroy) == 1

    # Calls apus_KIND_set_OPTION().
    def set(option, *values)
      call("set_#{option}", *values)
      self
    end

    private

    def call(name, *given) = Library.public_send("#{self.class.kind}_#{name}", @handle, *given)
    def text(name, *given) = Library.text("#{self.class.kind}_#{name}", @handle, *given)
  end

  # A request, inside its handler. What the handler returns is the reply, as text.
  class Request < Handle
    def initialize(handle) = super(handle, owned: false)
    def method = call(:method_name).to_s
    def path = call(:path).to_s.force_encoding("UTF-8")
    def [](name) = text(:param, name)
    def query(name) = text(:query_param, name)
    def header(name) = text(:header, name)
    def body = Library.taken(:request_body, @handle)
    def set_header(name, value) = Library.reply_set_header(@handle, name, value)

    def reply(body, status: 200, type: "text/plain; charset=utf-8")
      Library.reply(@handle, status, type, body, body.bytesize)
    end
  end

  # A stream of events; it ends with its block.
  class Writer < Handle
    def initialize(handle) = super(handle, owned: false)

    def event(data, id: nil, type: nil)
      call(:event, type, id&.to_s, data, data.bytesize)
    end

    def end = call(:end)
  end

  # A WebSocket.
  class Channel < Handle
    def send_text(text) = call(:send_text, text, text.bytesize)
    def send_binary(data) = call(:send_binary, data, data.bytesize)

    # Text goes out as text, and what is ASCII-8BIT as binary.
    def <<(message)
      message.encoding == Encoding::BINARY ? send_binary(message) : send_text(message)
      self
    end

    # True when it is open, false when the time has passed.
    def wait_open(timeout = -1) = call(:wait_open, timeout) == 1

    # The next message; nil when there is none left, or the time has passed.
    def receive(timeout = -1)
      message = "\0" * 56
      return if call(:recv, message, timeout).zero?
      opcode, _, data, length = message.unpack("llJJ")
      Channel.message(opcode, Fiddle::Pointer.new(data), length)
    rescue Error => e
      raise unless e.name == "APUS_E_CLOSED"
    end

    def hang_up(code = 1000) = call(:close, code, nil, 0)

    def self.message(opcode, data, length)
      text = opcode == Library::CONSTANTS["APUS_OPCODE_TEXT"]
      data[0, length].force_encoding(text ? Encoding::UTF_8 : Encoding::BINARY)
    end
  end

  # A server: its routes are blocks, which are called in #tick.
  class Server < Handle
    def initialize
      super(Library.server_make)
      @kept = []
    end

    def route(method, pattern, &block)
      call(:route_named, method, pattern, *Library.keep(@kept, ON_REQUEST, block))
    end

    def get(pattern, &block) = route("GET", pattern, &block)
    def post(pattern, &block) = route("POST", pattern, &block)

    # The block takes a Writer and a Request.
    def events(pattern, &block)
      call(:events, pattern, *Library.keep(@kept, ON_EVENTS, block))
    end

    # The block takes a Channel and a message.
    def websocket(pattern, &block)
      route = call(:websocket, pattern, *Library.keep(@kept, ON_OPEN, proc {}))
      call(:on_message, route, *Library.keep(@kept, ON_MESSAGE, block))
    end

    # Returns the port.
    def listen(host, port) = call(:port, call(:listen, host, port))
    def start = call(:start)
    def stop = call(:stop)
    def tick(timeout = -1) = call(:tick, timeout)
    # To be waited for by IO.select; the library's own, never to be closed.
    def io = IO.for_fd(call(:event_fd), autoclose: false)

    ON_REQUEST = Library.closure("apus_handler_fn") do |block, handle|
      request = Request.new(handle)
      result = block.call(request)
      request.reply(result) if result.is_a?(String)
    end

    ON_EVENTS = Library.closure("apus_events_fn") do |block, writer, handle|
      stream = Writer.new(writer)
      block.call(stream, Request.new(handle))
      stream.end
    ensure
      stream.close
    end

    ON_OPEN = Library.closure("apus_open_fn") { nil }

    ON_MESSAGE = Library.closure("apus_message_fn") do |block, handle, opcode, data, length|
      block.call(Channel.new(handle, owned: false), Channel.message(opcode, data, length))
    end
  end

  # What a server has answered.
  class Response < Handle
    def status = call(:status)
    def body = Library.taken(:response_body, @handle)
    def header(name) = text(:header, name)
  end

  # A request that #start sends.
  class Fetch < Handle
    def start = call(:start)
    # True when it is done.
    def wait(timeout = -1) = call(:wait, timeout) == 1

    def response
      call(:result)
      handle = call(:response)
      Library.response_keep(handle)
      Response.new(handle)
    end
  end

  # A client, which keeps connections and cookies.
  class Client < Handle
    def initialize = super(Library.client_make)
    def fetch(method, url) = Fetch.new(Library.fetch_make(@handle, method, url), of: self)

    # Begins to open a WebSocket.
    def open(url)
      channel = Channel.new(Library.channel_make(@handle), of: self)
      Library.channel_open(channel.handle, url)
      channel
    end
  end

  # One request over a connection of its own.
  def self.get(url) = Response.new(Library.get(url, nil))
end
