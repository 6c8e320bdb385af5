--  A small binding of libapus: an HTTP, WebSocket and SSE server whose handlers run in
--  Run, and a client. Servers and sockets are controlled: they end with their scope. What
--  fails raises Failure, with the library's sentence and the name of its code.

with Ada.Finalization;
private with Interfaces;

package Apus is

   Failure : exception;

   --  Of a WebSocket; text is UTF-8.
   type Message_Kind is (Text, Binary);

   --  Good until its handler returns; later use raises.
   type Request is private;
   function Param (Self : Request; Name : String) return String;
   procedure Reply (Self : Request; Status : Positive; Content : String);

   --  A stream of events, until it ends or its client leaves.
   type Writer is private;
   procedure Event (Self : Writer; Id : String; Data : String);
   procedure Finish (Self : Writer);

   --  One end of a WebSocket.
   type Channel is private;
   procedure Send (Self : Channel; Kind : Message_Kind; Data : String);

   --  What a handler raises is reported on standard error, and is a 500.
   type Request_Handler is access procedure (Given : Request);
   type Events_Handler is access procedure (Stream : Writer; Given : Request);
   type Message_Handler is access procedure
     (Peer : Channel; Kind : Message_Kind; Data : String);

   type Server is tagged limited private;
   procedure Get (Self : Server; Pattern : String; Handler : Request_Handler);
   procedure Events (Self : Server; Pattern : String; Handler : Events_Handler);
   procedure Web_Socket (Self : Server; Pattern : String; Handler : Message_Handler);
   --  Binds a port, 0 for any free one, and tells which it is.
   function Listen (Self : Server; Host : String; Port : Natural) return Positive;
   --  Serves in the calling task until Stop.
   procedure Run (Self : in out Server);
   --  Ends Run, from any task.
   procedure Stop (Self : in out Server);

   --  The body of what a URL gives.
   function Get (Url : String) return String;

   --  A client's end of a WebSocket, with a client of its own.
   type Socket is tagged limited private;
   --  Connects to a URL, as ws://host:port/path.
   procedure Open (Self : in out Socket; Url : String);
   procedure Send (Self : Socket; Kind : Message_Kind; Data : String);
   --  Waits for a message.
   function Receive (Self : Socket) return String;
   --  Closes it, and waits for the peer to do so.
   procedure Close (Self : Socket);

private

   type Handle is new Interfaces.Unsigned_64;
   type Request is new Handle;
   type Writer is new Handle;
   type Channel is new Handle;

   type Server is new Ada.Finalization.Limited_Controlled with record
      Object   : Handle := 0;
      Stopping : Boolean := False with Atomic;
   end record;
   overriding procedure Initialize (Self : in out Server);
   overriding procedure Finalize (Self : in out Server);

   type Socket is new Ada.Finalization.Limited_Controlled with record
      Client : Handle := 0;
      Peer   : Channel := 0;
   end record;
   overriding procedure Initialize (Self : in out Socket);
   overriding procedure Finalize (Self : in out Socket);

end Apus;
