package dialin

import (
	"net"
	"testing"
)

// TestHungUpIsHeardByWriting: a call that is written at the instant when the other
// machine hangs up breaks the line before anybody has read that it did.
func TestHungUpIsHeardByWriting(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	far, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	near, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	l := newLine(near)
	if l.hungUp() {
		t.Error("a line that nobody has ended has ended")
	}
	if err := far.(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	far.Close()
	for err == nil {
		_, err = l.Write([]byte("a call"))
	}
	l.Close()
	if !l.hungUp() {
		t.Errorf("%v is not taken for the other's hanging up", err)
	}
}
