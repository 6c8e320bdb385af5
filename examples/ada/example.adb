--  The example: a server and a client.

with Ada.Command_Line;
with Ada.Exceptions;
with Ada.Text_IO.Text_Streams;
with Apus;
with Handlers;

procedure Example is

   use Ada.Command_Line;
   use Ada.Text_IO;

   procedure Serve is
      Server : Apus.Server;

      --  Ends the server with its input.
      task Reader;
      task body Reader is
         Ignored : Character;
      begin
         loop
            Get_Immediate (Ignored);
         end loop;
      exception
         when End_Error =>
            Server.Stop;
      end Reader;

      Port : Positive;
   begin
      Server.Get ("/hello/:name", Handlers.Hello'Access);
      Server.Get ("/fail", Handlers.Fail'Access);
      Server.Events ("/events", Handlers.Ticks'Access);
      Server.Web_Socket ("/echo", Handlers.Echo'Access);
      Port := Server.Listen ("127.0.0.1", 0);
      Put_Line ("http://127.0.0.1:" & Port'Image (2 .. Port'Image'Last) & "/");
      Flush;
      Server.Run;
   end Serve;

   procedure Put_Bytes (Bytes : String) is
   begin
      String'Write (Text_Streams.Stream (Standard_Output), Bytes);
      Flush;
   end Put_Bytes;

   procedure Talk (Url, Words : String) is
      Socket : Apus.Socket;
   begin
      Socket.Open (Url);
      Socket.Send (Apus.Text, Words);
      Put_Bytes (Socket.Receive & ASCII.LF);
      Socket.Close;
   end Talk;

   function Word (Index : Positive) return String
   is (if Index > Argument_Count then "" else Argument (Index));

begin
   if Word (1) = "serve" then
      Serve;
   elsif Word (1) = "get" and then Argument_Count = 2 then
      Put_Bytes (Apus.Get (Word (2)));
   elsif Word (1) = "ws" and then Argument_Count = 3 then
      Talk (Word (2), Word (3));
   else
      raise Constraint_Error with "usage: example serve | get URL | ws URL TEXT";
   end if;
exception
   when Trouble : others =>
      Put_Line (Standard_Error, Ada.Exceptions.Exception_Message (Trouble));
      Set_Exit_Status (1);
end Example;
