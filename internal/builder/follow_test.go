package builder

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A supervisor that an earlier warden began is swept after when it ends, though it
// is no child of this one.
func TestFollowsTheSupervisorsOfAnother(t *testing.T) {
	work := t.TempDir()
	var held []*Control
	for _, name := range []string{"1-1", "2-1"} {
		dir := filepath.Join(work, name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		c, err := TakeControl(dir, os.Getuid(), func() {})
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
	}
	swept := make(chan []string, 10)
	w := &Warden{Work: work, Attempts: ".", Log: slog.New(slog.DiscardHandler), Sweep: func(live []string) error { swept <- live; return nil }}
	adopted, err := w.sweep()
	if err != nil || len(adopted) != 2 || len(<-swept) != 2 {
		t.Fatalf("adopted %v, %v", adopted, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	over := make(chan struct{})
	go func() {
		defer close(over)
		w.follow(ctx, adopted)
	}()
	for i, c := range held {
		if len(swept) > 0 {
			t.Errorf("swept while %d lived", len(held)-i)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		select {
		case live := <-swept:
			if len(live) != len(held)-i-1 {
				t.Errorf("swept with %v alive", live)
			}
		case <-ctx.Done():
			t.Fatal("nothing was swept")
		}
	}
	<-over
}
