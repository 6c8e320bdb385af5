package body Handlers is

   procedure Hello (Given : Apus.Request) is
   begin
      Apus.Reply (Given, 200, "Hello, " & Apus.Param (Given, "name") & "!" & ASCII.LF);
   end Hello;

   procedure Fail (Given : Apus.Request) is
   begin
      raise Program_Error with "on purpose";
   end Fail;

   procedure Ticks (Stream : Apus.Writer; Given : Apus.Request) is
      pragma Unreferenced (Given);
   begin
      for Id in Character range '1' .. '3' loop
         Apus.Event (Stream, "" & Id, "tick " & Id);
      end loop;
      Apus.Finish (Stream);
   end Ticks;

   procedure Echo (Peer : Apus.Channel; Kind : Apus.Message_Kind; Data : String) is
   begin
      Apus.Send (Peer, Kind, Data);
   end Echo;

end Handlers;
