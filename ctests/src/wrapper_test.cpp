// apus.hpp as its users have it: lifetimes, moves, errors, exceptions in every kind of
// callback, and each class at work over a connection. Built and run by wrapper_test.sh.
#include <apus.hpp>
#include <cstdlib>
#include <future>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <type_traits>

namespace {

int checks = 0, right = 0;
int reported = 0;
std::string last_report;

#define CHECK(condition) check((condition), #condition, __LINE__)

void check(bool holds, const char *what, int line) {
  checks++;
  if (holds) {
    right++;
  } else {
    std::cout << "WRONG, line " << line << ": " << what << "\n";
  }
}

void note(const std::exception_ptr &thrown) noexcept {
  reported++;
  try {
    std::rethrow_exception(thrown);
  } catch (const std::exception &e) {
    last_report = e.what();
  } catch (...) {
    last_report = "something";
  }
}

template <class Call>
int32_t code_of(Call &&call) {
  try {
    call();
  } catch (const apus::error &e) {
    return e.code();
  }
  return APUS_OK;
}

// Counts its copies and moves that live, so that a context which is dropped is seen.
struct Counted {
  static inline int live = 0;
  Counted() { live++; }
  Counted(const Counted &) { live++; }
  Counted(Counted &&) noexcept { live++; }
  ~Counted() { live--; }
};

template <class Owner>
constexpr bool moves_only =
    std::is_nothrow_move_constructible_v<Owner> &&std::is_nothrow_move_assignable_v<Owner> &&
    !std::is_copy_constructible_v<Owner> && !std::is_copy_assignable_v<Owner>;

static_assert(moves_only<apus::Server> && moves_only<apus::Client> && moves_only<apus::Channel>);
static_assert(moves_only<apus::Source> && moves_only<apus::Fetch> && moves_only<apus::Response>);
static_assert(moves_only<apus::Writer> && moves_only<apus::Deferred>);
static_assert(std::is_trivially_copyable_v<apus::Request> &&
              std::is_trivially_copyable_v<apus::Reply> &&
              std::is_trivially_copyable_v<apus::ChannelView>);

void test_lifetimes() {
  const auto live = [] { return apus_live_count(0); };
  CHECK(live() == 0);
  {
    apus::Server one, two;
    CHECK(live() == 2);
    const uint64_t kept = two.handle();
    one = std::move(two);
    CHECK(live() == 1 && one.handle() == kept && !two);
    apus::Server three(std::move(one));
    CHECK(live() == 1 && three.handle() == kept && one.handle() == 0);
    apus::Server &same = three;
    three = std::move(same);
    CHECK(apus_server_is_alive(three.handle()) == 1);
    apus::Client client;
    apus::Channel channel(client), other(client);
    const uint64_t first = channel.handle();
    other = std::move(channel);
    CHECK(other.handle() == first && live() == 3);
    apus::Channel moved(std::move(other));
    CHECK(moved.handle() == first && other.handle() == 0 && live() == 3);
    client.reset();  // the channel ends with it, and once more after it
    CHECK(apus_channel_is_alive(moved.handle()) == 0);
  }
  CHECK(live() == 0);
}

void test_contexts() {
  Counted counted;
  const int before = Counted::live;
  {
    apus::Server server;
    server.get("/", [counted](apus::Request, apus::Reply) { (void)counted; });
    server.events("/events", [counted](apus::Writer, apus::Request) { (void)counted; });
    apus::WebSocket socket;
    socket.message = [counted](apus::ChannelView, apus::Message) { (void)counted; };
    server.websocket("/socket", socket);
    socket = {};
    CHECK(Counted::live == before + 3);
    // A registration that fails ends what was to be called.
    CHECK(code_of([&] {
            server.get("none", [counted](apus::Request, apus::Reply) { (void)counted; });
          }) == APUS_E_ARGUMENT);
    CHECK(Counted::live == before + 3);
  }
  CHECK(Counted::live == before);
}

void test_errors() {
  apus::Server server;
  try {
    server.listen("256.0.0.1", 0);
    CHECK(false);
  } catch (const apus::error &e) {
    CHECK(e.code() == apus_last_error() && std::string(e.name()).rfind("APUS_E_", 0) == 0);
    CHECK(std::string(e.what()) == apus_last_error_message());
  }
  CHECK(code_of([&] { server.listen(std::string_view("127.0.0.1\0x", 11), 0); }) ==
        APUS_E_ARGUMENT);
  CHECK(code_of([&] { server.set(apus_server_set_workers, 1000); }) == APUS_E_ARGUMENT);
  server.reset();
  CHECK(code_of([&] { server.start(); }) == APUS_E_HANDLE);
}

// A server that ticks on a thread of its own.
class Served {
 public:
  apus::Server server;
  std::string url;

  void begin() {
    server.listen("127.0.0.1", 0);
    url = "127.0.0.1:" + std::to_string(server.port());
    server.start();
    thread_ = std::thread([this] { server.serve(); });
  }
  void end() {
    server.stop();
    thread_.join();
  }

 private:
  std::thread thread_;
};

void add_routes(Served &served, std::promise<std::thread> &answering) {
  served.server.get("/show/:name", [](apus::Request request, apus::Reply reply) {
    std::string all = std::string(request.method()) + " " + std::string(*request.param("name"));
    for (const auto &[name, value] : request.query_params()) {
      all += " " + std::string(name) + "=" + std::string(value);
    }
    all += request.header("X-None") ? " strange" : " absent";
    all += request.query_param("none") ? " strange" : " absent";
    reply.set_header("X-Agent", *request.header("x-agent")).text(all, 201);
  });
  served.server.post("/double", [](apus::Request request, apus::Reply reply) {
    const std::string body(request.body());
    reply.data(body + body, "application/octet-stream");
  });
  served.server.get("/throw",
                    [](apus::Request, apus::Reply) { throw std::runtime_error("thrown"); });
  served.server.get("/number", [](apus::Request, apus::Reply) { throw 17; });
  served.server.get("/later", [&answering](apus::Request request, apus::Reply) {
    answering.set_value(
        std::thread([deferred = apus::Deferred(request)] { deferred.reply().text("later\n"); }));
  });
  served.server.get("/lost", [](apus::Request request, apus::Reply) {
    const apus::Deferred deferred(request);
    throw std::runtime_error("deferred and lost");
  });
  served.server.get("/pieces", [](apus::Request, apus::Reply reply) {
    apus::Writer writer = reply.writer();
    writer.write("one ").write("two");
    writer.end();
  });
  served.server.get("/broken", [](apus::Request, apus::Reply reply) {
    apus::Writer writer = reply.writer();
    writer.begin(100).write("not a hundred");
  });
}

void test_requests() {
  Served served;
  std::promise<std::thread> answering;
  add_routes(served, answering);
  served.begin();
  const std::string url = "http://" + served.url;
  apus::Client client;
  {
    apus::Fetch fetch = client.fetch("GET", url + "/show/J%C3%BCrgen");
    const apus::Response response = fetch.header("X-Agent", "A").query("a", "b c").send();
    fetch.reset();  // the response was kept
    CHECK(response.status() == 201 && response.ok() && response.header("X-AGENT") == "A");
    CHECK(response.body() == "GET J\xc3\xbcrgen a=b c absent absent");
    CHECK(!response.header("X-None") && response.headers().size() >= 3);
  }
  const std::string bytes("\0\1\0zero", 7);
  CHECK(client.post(url + "/double", bytes, "application/octet-stream").body() == bytes + bytes);
  CHECK(client.post(url + "/double", "", "text/plain").body().empty());
  for (const char *path : {"/throw", "/number", "/lost"}) {
    const int before = reported;
    CHECK(client.get(url + path).status() == 500);
    CHECK(reported == before + 1);
  }
  CHECK(last_report == "deferred and lost");
  CHECK(client.get(url + "/later").body() == "later\n");
  // The reply may be here before its handler has returned.
  answering.get_future().get().join();
  CHECK(apus::get(url + "/pieces").body() == "one two");
  CHECK(code_of([&] { client.get(url + "/broken"); }) == APUS_E_CLOSED);
  CHECK(client.get(url + "/none").status() == 404);
  served.end();
  CHECK(code_of([&] { client.get(url + "/"); }) == APUS_E_IO);
  CHECK(code_of([&] { client.get("http://nonsense:x/"); }) == APUS_E_ARGUMENT);
}

void test_callbacks_of_fetches() {
  Served served;
  served.server.get("/", [](apus::Request, apus::Reply reply) { reply.text("in pieces"); });
  served.begin();
  apus::Client client;
  apus::Fetch fetch = client.fetch("GET", "http://" + served.url + "/");
  std::string body;
  bool done = false;
  std::thread::id thread;
  fetch.on_body([&](std::string_view piece) { body += piece; }).on_complete([&] {
    done = true;
    thread = std::this_thread::get_id();
    throw std::runtime_error("from on_complete");
  });
  const int before = reported;
  fetch.start();
  while (!done) client.tick(1000);
  CHECK(body == "in pieces" && fetch.result().status() == 200);
  CHECK(thread == std::this_thread::get_id());
  CHECK(reported == before + 1 && last_report == "from on_complete");
  served.end();
}

void test_channels() {
  Served served;
  apus::WebSocket echo;
  int32_t closed = 0;
  echo.open = [](apus::ChannelView channel, apus::Request request) {
    channel.send_text(request.path());
  };
  echo.message = [](apus::ChannelView channel, apus::Message message) {
    if (message.data == "throw") throw std::runtime_error("from on_message");
    channel.send(message);
  };
  echo.close = [&](apus::ChannelView, int32_t code, std::string_view) { closed = code; };
  echo.protocols = "one, two";
  served.server.websocket("/echo", std::move(echo));
  served.begin();
  apus::Client client;
  apus::Channel channel(client);
  channel.set(apus_channel_set_protocols, "two").open("ws://" + served.url + "/echo");
  CHECK(channel.wait_open() && channel.is_open() && channel.protocol() == "two");
  CHECK(channel.receive()->data == "/echo");
  const std::string bytes("\0\xff\0", 3);
  channel.send_binary(bytes);
  const auto message = channel.receive();
  CHECK(message && !message->is_text && message->data == bytes);
  CHECK(code_of([&] { channel.send_text("\xff"); }) == APUS_E_ARGUMENT);
  CHECK(!channel.receive(0));
  channel.send_text("throw");
  CHECK(!channel.receive() && !channel.is_open());
  CHECK(last_report == "from on_message");
  CHECK(code_of([&] { channel.send_text("late"); }) == APUS_E_CLOSED);
  apus::Channel lost(client);
  lost.open("ws://" + served.url + "/none");
  CHECK(code_of([&] { lost.wait_open(); }) == APUS_E_PROTOCOL);
  served.end();
  CHECK(closed == 1011);
}

void test_events() {
  Served served;
  std::atomic<uint64_t> kept{0}, heard{0};
  std::atomic<int> plain{0};
  served.server.events("/events", [&](apus::Writer stream, apus::Request) {
    stream.on_close([&] { plain++; });
    stream.event("one", "kind", "1").event("two\nlines");
    stream.end();
    stream.detach();
  });
  served.server.events(
      "/throw", [](apus::Writer, apus::Request) { throw std::runtime_error("from a stream"); });
  served.server.events("/topic", [&](apus::Writer stream, apus::Request) {
    kept = stream.handle();
    stream.on_close([&](apus::Writer &closed) { heard = closed.handle(); });
    stream.subscribe("news").event("joined");
    stream.detach();
  });
  served.begin();
  apus::Client client;
  apus::Source source(client, "http://" + served.url + "/events");
  source.open();
  auto event = source.next();
  CHECK(event && event->type == "kind" && event->id == "1" && event->data == "one");
  event = source.next();
  CHECK(event && event->type == "message" && event->data == "two\nlines");
  source.close();
  CHECK(code_of([&] { source.next(); }) == APUS_E_CLOSED);
  apus::Source news(client, "http://" + served.url + "/topic");
  news.open();
  CHECK(news.next()->data == "joined");
  served.server.publish("news", {"all hear", true});
  CHECK(news.next()->data == "all hear");
  const int before = reported;
  CHECK(code_of([&] { client.get("http://" + served.url + "/throw"); }) == APUS_E_CLOSED);
  CHECK(reported == before + 1 && last_report == "from a stream");
  served.end();
  CHECK(kept != 0 && heard == kept);
  CHECK(plain == 1);
}

}  // namespace

int main() {
  apus::on_exception(note);
  try {
    test_lifetimes();
    test_contexts();
    test_errors();
    test_requests();
    test_callbacks_of_fetches();
    test_channels();
    test_events();
  } catch (const std::exception &e) {
    std::cout << "WRONG: thrown: " << e.what() << "\n";
    checks++;
  }
  CHECK(apus_live_count(0) == 0);
  std::cout << "wrapper_test: checks run " << checks << ", right " << right << "\n";
  return checks == right ? EXIT_SUCCESS : EXIT_FAILURE;
}
