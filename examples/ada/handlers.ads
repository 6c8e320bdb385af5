--  What the example's server does; a handler must outlive its server.

with Apus;

package Handlers is

   procedure Hello (Given : Apus.Request);
   procedure Fail (Given : Apus.Request);
   procedure Ticks (Stream : Apus.Writer; Given : Apus.Request);
   procedure Echo (Peer : Apus.Channel; Kind : Apus.Message_Kind; Data : String);

end Handlers;
