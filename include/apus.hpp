/*
 * apus.hpp - apus.h for C++17 and later: handles that end with their scope, lambdas as
 * callbacks, exceptions for errors, std::string_view for text and bytes. A header alone;
 * what it has no name for is called by the C function, with handle().
 *
 * - Errors are thrown as apus::error. What is merely not there is an empty optional.
 * - A callback may throw: nothing of it reaches the library. It is reported to
 *   on_exception(), a request without a reply gets 500, a channel is closed with 1011.
 * - Owners (Server, Client, Fetch, Response, Source, Writer, Channel, Deferred) move and do
 *   not copy. Views (Request, Reply, ChannelView) are handles that someone else ends.
 * - What comes out as a string_view is borrowed, as apus.h says; it ends with a NUL.
 * - Callbacks run where the dispatch says: by default in Server::tick(), Client::tick(). On
 *   worker threads the end of a Fetch or Source does not wait for one that runs just then:
 *   it must not refer to what ends with them, unless cancel() and wait() come before.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef APUS_HPP
#define APUS_HPP

#include <apus/base.hpp>
#include <apus/channel.hpp>
#include <apus/client.hpp>
#include <apus/request.hpp>
#include <apus/server.hpp>

#endif /* APUS_HPP */
