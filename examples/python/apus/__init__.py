"""An HTTP, WebSocket and Server-Sent Events server and client for asyncio, by libapus."""
from ._library import Closed, Error, library
from .channel import Channel
from .client import Client, Response, get, request
from .server import Events, Request, Server

__all__ = ["Channel", "Client", "Closed", "Error", "Events", "Request", "Response", "Server",
           "get", "library", "request"]
