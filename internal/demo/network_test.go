package demo

import (
	"io"
	"net"
	"testing"
)

// echo serves connections and sends back what it receives. received gets a value for each message.
func echo(t *testing.T) (address string, received <-chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	got, ended := make(chan string, 16), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			buffer := make([]byte, 4)
			for {
				if _, err := io.ReadFull(c, buffer); err != nil {
					break
				}
				got <- string(buffer)
				_, _ = c.Write(buffer)
			}
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-ended })
	return l.Addr().String(), got
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func exchange(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, len(text))
	if _, err := io.ReadFull(c, buffer); err != nil || string(buffer) != text {
		t.Fatalf("got %q %v, want %q", buffer, err, text)
	}
}

// TestNetwork checks that a network that is cut accepts connections and bytes, and delivers the
// bytes when it works again.
func TestNetwork(t *testing.T) {
	address, received := echo(t)
	n := newNetwork()
	defer n.close()
	via, err := n.forward(address)
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, via)
	exchange(t, c, "one.")
	<-received

	n.cut()
	n.cut() // has no effect
	if _, err := io.WriteString(c, "two."); err != nil {
		t.Fatal(err)
	}
	// The message would arrive before the answer to this one, which goes around the network.
	around, aroundReceived := echo(t)
	exchange(t, dial(t, around), "here")
	<-aroundReceived
	select {
	case text := <-received:
		t.Errorf("%q passed a network that is cut", text)
	default:
	}

	n.join()
	n.join() // has no effect
	if text := <-received; text != "two." {
		t.Errorf("got %q, want two.", text)
	}
}

// TestNetworkClose checks that close ends connections, also while the network is cut.
func TestNetworkClose(t *testing.T) {
	address, received := echo(t)
	n := newNetwork()
	via, err := n.forward(address)
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, via)
	exchange(t, c, "one.")
	<-received
	n.cut()
	if _, err := io.WriteString(c, "two."); err != nil {
		t.Fatal(err)
	}
	n.close()
	if rest, err := io.ReadAll(c); len(rest) > 0 {
		t.Errorf("got %q %v after close", rest, err)
	}
	if _, err := n.forward(address); err == nil {
		t.Error("a closed network forwards")
	}
}
