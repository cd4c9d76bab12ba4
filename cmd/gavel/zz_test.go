package main
import ("testing";"fmt";"time";"runtime/pprof";"os")
func TestZZ(t *testing.T){ for i:=range 60 { t.Run(fmt.Sprint(i), func(t *testing.T){ t.Parallel(); h:=openHere(t,t.TempDir()); h.sends(); tm:=time.AfterFunc(8*time.Second, func(){ f,_:=os.Create("/tmp/zz.prof"); pprof.Lookup("goroutine").WriteTo(f,1); f.Close()}); b:=time.Now(); h.stop(); tm.Stop(); if d:=time.Since(b); d>5*time.Second { t.Errorf("stop took %s",d)} }) } }
