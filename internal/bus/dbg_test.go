package bus_test
import ("testing";"fmt";"time";"github.com/ThreeDotsLabs/watermill/message";"context")
func TestDbg(t *testing.T){
 url:=topicStream(t)
 p,s:=pair(t,url,"group")
 for i:=range 50 { p.Publish("conformance.x",message.NewMessage(fmt.Sprint(i),nil)) }
 for r:=range 3 {
 _,s2:=pair(t,url,"group")
 ms,_:=s2.Subscribe(context.Background(),"conformance.x")
 for j:=range 100 {
  select{ case m:=<-ms: m.Nack(); case <-time.After(4*time.Second):
   js:=jetStream(t,dial(t,url)); c,_:=js.Consumer(testContext(t),"CONFORMANCE","group-conformance_x"); i,_:=c.Info(testContext(t)); t.Fatalf("stuck r=%d j=%d %+v",r,j,i)}
 }
 s2.Close()
 }
 s.Close()
}
