package builder

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"plague"
	"plague/internal/artifact"
	"plague/internal/durable"

	"golang.org/x/sync/errgroup"
)

// A supervisor that does not stop when it is told to is killed with what it
// started, by the warden that started it or by the next: the attempt ends as
// killed and its slot is free. The test binary is the supervisor.
func TestDeafSupervisorIsKilled(t *testing.T) {
	if dir := os.Getenv("PLAGUE_TEST_DEAF"); dir != "" {
		beDeaf(t, dir)
	}
	for _, name := range []string{"by its warden", "by the next"} {
		t.Run(name, func(t *testing.T) {
			work, o := journalled(t)
			alive, out, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer alive.Close()
			w := deafWarden(work, out)
			if err := w.start(t.Context(), "1-1"); err != nil {
				t.Fatal(err)
			}
			if name == "by the next" {
				w = deafWarden(work, out)
			}
			out.Close()
			b := daemonOf(t, w, work)
			o.Verb = plague.VerbStop
			orders := plague.Orders{Farm: "f", Term: 1, Sequence: 1, Attempts: []plague.Order{o}, Wait: 20 * time.Second}
			var said plague.AttemptReport
			for end := time.Now().Add(time.Minute); !said.Phase.Ended() && time.Now().Before(end); orders.Sequence++ {
				r, err := b.Sync(t.Context(), orders)
				if err != nil {
					t.Fatal(err)
				}
				said, orders.Instance, orders.Seen = r.Attempts[0], r.Instance, r.Version
			}
			if said.Phase != plague.PhaseKilled || said.Failure != nil {
				t.Errorf("it ended as %s, %v", said.Phase, said.Failure)
			}
			if err := alive.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
			if said, err := io.ReadAll(alive); err != nil {
				t.Errorf("it lives on, or what it started does: %q, %v", said, err)
			}
			b.mu.Lock()
			defer b.mu.Unlock()
			o.ArchJob++
			if _, why := b.slotFor(o); why != "" {
				t.Errorf("its slot is not free: %s", why)
			}
		})
	}
}

// beDeaf is a supervisor that does nothing, for ever.
func beDeaf(t *testing.T, dir string) {
	c, err := TakeControl(dir, os.Getuid(), func() {})
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command("sleep", "300")
	child.Stdout = os.Stdout // the pipe ends with whoever has it last
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(os.NewFile(3, "ready"), "ready\n"); err != nil {
		t.Fatal(err)
	}
	c.Serve()
}

// journalled makes a work folder with one attempt in its daemon's journal.
func journalled(t *testing.T) (string, plague.Order) {
	work := t.TempDir()
	o := plague.Order{AttemptID: plague.AttemptID{ArchJob: 1, Number: 1, Token: "token"}, Work: &plague.Work{Arch: "x86_64", RootArch: "x86_64"}}
	dir := filepath.Join(work, "daemon", "attempts", "1-1")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(record{ID: o.AttemptID, Work: *o.Work, AcceptedAt: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, recordFile), data, 0o644); err != nil {
		t.Fatal(err)
	}
	return work, o
}

func deafWarden(work string, out *os.File) *Warden {
	return &Warden{
		Work: work, Attempts: "daemon/attempts", Sweep: func([]string) error { return nil }, Log: slog.New(slog.DiscardHandler),
		Supervise: func(dir string) *exec.Cmd {
			c := exec.Command(os.Args[0], "-test.run=^TestDeafSupervisorIsKilled$", dir)
			c.Env, c.Stdout = append(os.Environ(), "PLAGUE_TEST_DEAF="+dir), out
			return c
		},
	}
}

// daemonOf runs a builder with one slot that a warden serves. It has little patience.
func daemonOf(t *testing.T, w *Warden, dir string) *Builder {
	ours, theirs, err := socketPair()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.FileConn(theirs)
	theirs.Close()
	if err != nil {
		t.Fatal(err)
	}
	work, err := durable.Open(filepath.Join(dir, "daemon"), 0o755)
	if err != nil {
		t.Fatal(err)
	}
	files, err := work.Sub("srpms")
	if err != nil {
		t.Fatal(err)
	}
	srpms, err := artifact.OpenDir(files)
	if err != nil {
		t.Fatal(err)
	}
	p := NewProcesses(conn)
	p.patience = 100 * time.Millisecond
	b, err := New(Config{Name: "b1", Slots: 1, Arches: []string{"x86_64"}, Work: work, SRPMs: srpms, Launcher: p, MinFree: 1})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return w.serve(ctx, ours) })
	g.Go(func() error { return p.Run(ctx) })
	g.Go(func() error { return b.Run(ctx) })
	t.Cleanup(func() {
		stop()
		g.Wait()
		ours.Close()
		work.Close()
	})
	return b
}

// The daemon has no process killed but its attempt's supervisor: not what bears
// another attempt's name, nor what no attempt is.
func TestKillsNothingElse(t *testing.T) {
	work, _ := journalled(t)
	alive, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer alive.Close()
	w := deafWarden(work, out)
	if err := w.start(t.Context(), "1-1"); err != nil {
		t.Fatal(err)
	}
	out.Close()
	for name, fails := range map[string]bool{"1-2": false, "1-10": false, "..": true, "1-1/../1-1": true, "-1": true, "1": true} {
		if err := w.answer(t.Context(), request{Kill: name}); (err != nil) != fails {
			t.Errorf("kill %q: %v", name, err)
		}
	}
	if pids, err := w.processes("1-1"); err != nil || len(pids) != 1 {
		t.Errorf("of the one supervisor there are %v, %v", pids, err)
	}
	if err := w.answer(t.Context(), request{Kill: "1-1"}); err != nil {
		t.Error(err)
	}
	if _, err := io.ReadAll(alive); err != nil {
		t.Error(err)
	}
}
