/*
 * tour.cpp - the wrapper in one program: tour serve | get URL | ws URL TEXT
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <poll.h>
#include <unistd.h>

#include <apus.hpp>
#include <cerrno>
#include <iostream>
#include <stdexcept>
#include <string>

static void add_routes(apus::Server &server) {
  server.get("/hello/:name", [](apus::Request request, apus::Reply reply) {
    reply.text("Hello, " + std::string(*request.param("name")) + "!\n");
  });
  server.get("/fail", [](apus::Request, apus::Reply) {
    throw std::runtime_error("this handler always fails");
  });
  server.events("/events", [](apus::Writer stream, apus::Request) {
    for (const std::string id : {"1", "2", "3"}) stream.event("tick " + id, "", id);
    stream.end();
  });
  apus::WebSocket echo;
  echo.message = [](apus::ChannelView channel, apus::Message message) { channel.send(message); };
  server.websocket("/echo", echo);
}

/* Serves until standard input ends. */
static void serve() {
  apus::Server server;
  add_routes(server);
  server.listen("127.0.0.1", 0);
  std::cout << "http://127.0.0.1:" << server.port() << "/" << std::endl;
  server.start();
  pollfd watched[] = {{0, POLLIN, 0}, {server.event_fd(), POLLIN, 0}};
  while (poll(watched, 2, -1) > 0 || errno == EINTR) {
    char bytes[512];
    if (watched[0].revents != 0 && read(0, bytes, sizeof bytes) <= 0) break;
    server.tick(0); /* runs the handlers, on this thread */
  }
  server.stop();
}

static void get(const char *url) { std::cout << apus::get(url).body(); }

static void ws(const char *url, const char *text) {
  apus::Client client;
  apus::Channel channel(client);
  channel.open(url).wait_open();
  channel.send_text(text);
  if (const auto answer = channel.receive()) std::cout << answer->data << std::endl;
  channel.close();
  channel.receive(); /* until the peer has answered the close */
}

int main(int argc, char **argv) {
  const std::string command = argc > 1 ? argv[1] : "";
  try {
    if (command == "serve") {
      serve();
    } else if (command == "get" && argc == 3) {
      get(argv[2]);
    } else if (command == "ws" && argc == 4) {
      ws(argv[2], argv[3]);
    } else {
      throw std::runtime_error("usage: tour serve | get URL | ws URL TEXT");
    }
  } catch (const std::exception &e) {
    std::cerr << "tour: " << e.what() << std::endl;
    return 1;
  }
}
