package builder

import (
	"bufio"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"testing"
	"time"
)

// A warden that is killed takes its daemon with it, so that the next one finds
// the door free. The test binary itself is the warden.
func TestDaemonGoesWithItsWarden(t *testing.T) {
	if dir := os.Getenv("PLAGUE_TEST_WARDEN"); dir != "" {
		w := &Warden{Work: dir, Attempts: ".", Sweep: func([]string) error { return nil }, Log: slog.New(slog.DiscardHandler), Daemon: func() *exec.Cmd {
			c := exec.Command("sh", "-c", "echo up; exec sleep 300")
			c.Stdout = os.Stdout // the pipe ends with whoever has it last
			return c
		}}
		t.Fatal(w.Run(t.Context()))
	}
	warden := exec.Command(os.Args[0], "-test.run=^TestDaemonGoesWithItsWarden$")
	warden.Env = append(os.Environ(), "PLAGUE_TEST_WARDEN="+t.TempDir())
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	warden.Stdout = w
	if err := warden.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if err := r.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	out := bufio.NewReader(r)
	if line, err := out.ReadString('\n'); line != "up\n" {
		t.Errorf("the daemon says %q, %v", line, err)
	}
	if err := warden.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	warden.Wait()
	if _, err := io.Copy(io.Discard, out); err != nil {
		t.Errorf("the daemon lives on: %v", err)
	}
}
