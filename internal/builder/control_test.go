package builder

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"plague"
	"time"
)

// What a daemon hears of a supervisor, and that its end is one: whoever sees
// the connection end finds the folder free and need not ask again.
func TestControlEnds(t *testing.T) {
	for range 20 {
		dir := t.TempDir()
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		c, err := TakeControl(dir, os.Getuid(), stop)
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan struct{})
		go func() { defer close(served); c.Serve() }()
		conn, err := dial(ctx, dir)
		if err != nil {
			t.Fatal(err)
		}
		c.News(News{Phase: "building"})
		lines := bufio.NewReader(conn)
		for line := ""; !strings.Contains(line, "building"); { // what it was before may come first
			if line, err = lines.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
		if !Alive(dir) {
			t.Error("it is not alive while it works")
		}
		if _, err := TakeControl(dir, os.Getuid(), stop); err == nil {
			t.Error("a second one took the folder")
		}
		ended := make(chan error, 1)
		go func() { ended <- c.Close() }()
		if rest, err := io.ReadAll(lines); err != nil || len(rest) > 0 {
			t.Errorf("%q, %v", rest, err)
		}
		if Alive(dir) {
			t.Error("its connection has ended, and it holds the folder still")
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
		<-served
	}
}

// A daemon that was accepted and not yet taken in when the supervisor ends hears
// of the end, too: neither waits for the other.
func TestControlEndsAsADaemonComes(t *testing.T) {
	dir := t.TempDir()
	c, err := TakeControl(dir, os.Getuid(), func() {})
	if err != nil {
		t.Fatal(err)
	}
	daemon, err := dial(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer daemon.Close()
	accepted, err := c.listener.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if c.greet(accepted) {
		t.Error("the daemon is taken in after the end")
	}
	if err := daemon.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(daemon); err != nil || len(rest) > 0 {
		t.Errorf("%q, %v", rest, err)
	}
}

// A daemon that makes sure that nobody supervises a folder is not taken for a
// supervisor itself, and none begins meanwhile: a warden would not sweep there.
func TestClosingIsNotLiving(t *testing.T) {
	dir := t.TempDir()
	if Alive(dir) {
		t.Error("a folder without a lock is alive")
	}
	closing, err := tryLock(dir, closes())
	if err != nil {
		t.Fatal(err)
	}
	if Alive(dir) {
		t.Error("a daemon that closes the folder is taken for a supervisor")
	}
	if _, err := TakeControl(dir, os.Getuid(), func() {}); !errors.Is(err, plague.ErrConflict) {
		t.Errorf("a supervisor began while the folder was being closed: %v", err)
	}
	closing.Close()
	c, err := TakeControl(dir, os.Getuid(), func() {})
	if err != nil {
		t.Fatal(err)
	}
	if over, err := closeFolder(dir); over || err != nil {
		t.Errorf("the folder of a living supervisor was closed: %v, %v", over, err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if over, err := closeFolder(dir); !over || err != nil {
		t.Errorf("the folder of nobody was not closed: %v, %v", over, err)
	}
}

// A daemon that says stop and hangs up at once is heard, though there is nobody left
// whom the supervisor could tell how it is.
func TestControlHearsWhoHangsUp(t *testing.T) {
	dir := t.TempDir()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	stopped := make(chan struct{}, 100)
	c, err := TakeControl(dir, os.Getuid(), func() { stopped <- struct{}{} })
	if err != nil {
		t.Fatal(err)
	}
	if err := stopSupervisor(ctx, dir); err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() { defer close(served); c.Serve() }()
	select {
	case <-stopped:
	case <-ctx.Done():
		t.Error("it has not heard")
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	<-served
}
